"""The process that reads exports of conversations: `python -m r1desk.store.export_reader`.

An export is a file, a folder or a zip of ours or of another program, recognised by its content.
What it holds is read one conversation at a time, and sent in slices.
"""

import codecs
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

import ijson
from pydantic import BaseModel, TypeAdapter, ValidationError

from deepseek_r1.core import frames
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.process_lock import LANDLOCK, lock_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.native.child_start import Child, serve, start_child
from deepseek_r1.native.native_library import native
from r1desk.store.archive import (
    FORMAT,
    VERSION,
    ArchivedConversation,
    ArchivedMessage,
    ConversationBegins,
    Piece,
)
from r1desk.store.errors import ArchiveNotRead, ArchiveUnreadable
from r1desk.store.foreign_chats import Counts, Omitted, foreign_conversation
from r1desk.store.imports import (
    FRAME_BYTES,
    SLICE_MESSAGES,
    ExportRead,
    ExportRequest,
    ExportSlice,
    digest_of,
)
from r1desk.store.prompt_store import PromptFile, SavedPrompt

MAX_BYTES, MAX_FILES = 2**30, 100_000
MAX_CONVERSATION_BYTES = 64 * 2**20
MAX_MESSAGE_CHARACTERS = 10 * 2**20  # as many files as can be sent with one, and text
SLICE_CHARACTERS = 2**16  # parsing a slice holds the interpreter, and the window, for 2 ms
_HEAD_BYTES = 64 * 2**10
_CHUNK_BYTES = 2**20  # of a long text the parser reads all again with each

Opener = Callable[[], IO[bytes]]


def main() -> None:
    """Serve the owner until it closes the pipe."""
    child = start_child(ChildKind.EXPORTS)
    serve(child, TypeAdapter(ExportRequest), partial(_answer, child), _refused)


def _answer(child: Child, request: ExportRequest) -> ExportRead:
    path = Path(request.path)
    path.stat()
    if LANDLOCK not in child.not_locked:
        lock_files([path], [], native().restrict_threads)
    if request.holds == "prompts":
        return ExportRead(prompts=read_prompts(path))
    left_out = Counts()
    for some in slices(read_export(path, left_out)):
        frames.write(child.sink, frames.pack(ExportSlice(pieces=tuple(some)), FRAME_BYTES))
    return ExportRead(left_out=left_out)


def _refused(request: ExportRequest, error: Exception) -> R1Error:
    if isinstance(error, OSError):
        return ArchiveNotRead(path=request.path, detail=error.strerror or str(error))
    if isinstance(error, MemoryError):
        return ArchiveUnreadable(detail=tr("it takes too much memory"))
    return ArchiveUnreadable(detail=f"{type(error).__name__}: {error}"[:200])


def slices(conversations: Iterable[ArchivedConversation]) -> Iterator[list[Piece]]:
    """Their pieces in portions that hold the store for a moment only."""
    some, characters = [], 0
    for piece in chain.from_iterable(map(_pieces, conversations)):
        if isinstance(piece, ArchivedMessage):
            size = len(piece.content) + len(piece.thinking)
            size += sum(len(each.content) for each in piece.attachments)
            if size > MAX_MESSAGE_CHARACTERS:
                limit = f"more than {MAX_MESSAGE_CHARACTERS // 2**20} MiB in one message"
                raise ArchiveUnreadable(detail=limit)
            characters += size
        some.append(piece)
        if len(some) >= SLICE_MESSAGES or characters > SLICE_CHARACTERS:
            yield some
            some, characters = [], 0
    yield some


def _pieces(conversation: ArchivedConversation) -> list[Piece]:
    messages, digest = conversation.messages, digest_of(conversation.messages)
    begins = ConversationBegins(created_at=conversation.created_at, digest=digest)
    return [begins, *messages, conversation.model_copy(update={"messages": ()})]


def read_export(path: Path, left_out: Counts) -> Iterator[ArchivedConversation]:
    """The conversations that have messages.

    Raises OSError, and ArchiveUnreadable where nothing in it is an export that we know.
    """
    is_known = False
    with ExitStack() as stack:
        files = _files(path, stack)
        for name in sorted(name for name in files if name.endswith(".json")) or files:
            has_begun = False
            try:
                for conversation in _conversations(name, files, left_out):
                    is_known = has_begun = True
                    if conversation is not None and conversation.messages:
                        yield conversation
            except (ijson.JSONError, UnicodeDecodeError) as problem:
                if has_begun or len(files) == 1:
                    raise _another_kind() from problem
                left_out[Omitted.DAMAGED] += 1
    if not is_known:
        raise _another_kind()


def read_prompts(path: Path) -> tuple[SavedPrompt, ...]:
    """The prompts of an exported library. Raises OSError and ArchiveUnreadable."""
    if not _is_file(path.stat()):  # reading a device or a pipe may never end
        raise _another_kind()
    with _opened(_opener(path)) as file:
        try:
            value = next(ijson.items(_Capped(file), "", use_float=True))
        except (ijson.JSONError, UnicodeDecodeError) as problem:
            raise _another_kind() from problem
    return tuple(_validated(PromptFile, value, path.name).prompts)


def _another_kind() -> ArchiveUnreadable:
    return ArchiveUnreadable(detail=tr("another kind of file"))


def _opener(path: Path) -> Opener:
    return lambda: path.open("rb")


def _opened(opener: Opener) -> IO[bytes]:
    """The file, behind a byte order mark of UTF-8."""
    file = opener()
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    return file


def _files(path: Path, stack: ExitStack) -> dict[str, Opener]:
    """By name; of a folder or a zip those that can be exports. No name is used as a path."""
    if path.is_dir():
        walk = os.walk(path)
        found = [Path(folder) / name for folder, _, names in walk for name in names]
        found = [file for file in found if ".json" in file.name and _is_file(file.lstat())]
        sizes = [file.stat().st_size for file in found]
        files = {file.relative_to(path).as_posix(): _opener(file) for file in found}
    elif not _is_file(path.stat()):  # reading a device or a pipe may never end
        raise _another_kind()
    elif zipfile.is_zipfile(path):
        archive = stack.enter_context(zipfile.ZipFile(path))
        infos = [info for info in archive.infolist() if ".json" in info.filename]
        sizes = [info.file_size for info in infos]  # what is longer than this is not read
        files = {info.filename: partial(archive.open, info) for info in infos}
    else:
        sizes, files = [path.stat().st_size], {path.name: _opener(path)}
    if sum(sizes) > MAX_BYTES or len(sizes) > MAX_FILES:
        too_long = tr("it is longer than {mib} MiB", mib=MAX_BYTES // 2**20)
        raise ArchiveUnreadable(detail=too_long)
    return files


def _is_file(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode)


class _Capped:
    """A file of which no conversation may be large."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.left = MAX_CONVERSATION_BYTES

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.left -= len(data)
        if self.left < 0:
            limit = f"more than {MAX_CONVERSATION_BYTES // 2**20} MiB in one conversation"
            raise ArchiveUnreadable(detail=limit)
        return data


def _conversations(
    name: str, files: dict[str, Opener], left_out: Counts
) -> Iterator[ArchivedConversation | None]:
    """Those of one file. None says only that the file is one of ours, which may hold none."""
    with _opened(files[name]) as file:
        head = file.read(_HEAD_BYTES)
    is_ours = _is_ours(head)
    prefix = "conversations.item" if is_ours else "item" if head.lstrip()[:1] == b"[" else ""
    if is_ours:
        yield None

    def lines() -> Iterator[Any]:
        other = str(PurePosixPath(name).with_name("messages.jsonl"))
        if other in files:
            with _opened(files[other]) as file:
                yield from ijson.items(_Capped(file), "", multiple_values=True, use_float=True)

    folder = PurePosixPath(name).parent.name
    with _opened(files[name]) as file:
        capped = _Capped(file)
        values = ijson.items(capped, prefix, use_float=True, buf_size=_CHUNK_BYTES)
        for place, value in enumerate(values):
            capped.left = MAX_CONVERSATION_BYTES
            if is_ours:
                yield _validated(ArchivedConversation, value, f"conversations/{place}")
            elif found := foreign_conversation(value, lines, folder, left_out):
                yield found


def _is_ours(head: bytes) -> bool:
    """Whether a file that begins so is our own export. Raises ArchiveUnreadable for a later one."""
    start, found, _ = head.partition(b'"conversations"')
    if not found or not start.lstrip().startswith(b"{"):
        return False
    fields = next(ijson.items(start.rstrip().rstrip(b",") + b"}", "", use_float=True))
    if fields.get("format", FORMAT) != FORMAT:
        return False
    if fields.get("version", VERSION) != VERSION:
        raise ArchiveUnreadable(detail=tr("a format of another version of R1 Desk"))
    return True


def _validated(kind: type[BaseModel], value: object, place: str) -> Any:
    try:
        return kind.model_validate(value)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = "/".join((place, *map(str, first["loc"])))
        raise ArchiveUnreadable(detail=f"{where}: {first['msg']}") from problem


if __name__ == "__main__":
    main()
