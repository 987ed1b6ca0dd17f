"""Reads documents in a child process: they may come from anywhere.

Each document has a process of its own, which can open this one file and nothing else. What ends
that process, hangs it or fills its memory is refused like any other document that cannot be read.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.child_call import (
    ChildCall,
    ChildDied,
    ChildFailure,
    ChildProgress,
    ChildTooLarge,
)
from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.documents.document import BETWEEN_BLOCKS, Block, Document
from deepseek_r1.documents.errors import (
    DocumentDamaged,
    DocumentEmpty,
    DocumentNotRead,
    DocumentTooLarge,
    ReadingStopped,
)
from deepseek_r1.memory.meter import process_mib, unshared_mib

MAX_BYTES: Final = 256 * 2**20
MAX_CHARACTERS: Final = 16 * 2**20  # some four million tokens
BLOCK_CHARACTERS: Final = 16  # that each block counts for, too
MEMORY_MIB: Final = ChildKind.DOCUMENTS.value.memory_mib
READER_MIB: Final = 32  # of the process at its start, without what it shares; measured
MAX_FOLDER_FILES: Final = 2_000
STALLED_S: Final = 30.0  # without a page or a paragraph
LONGEST_S: Final = 600.0
_SUFFIXES = (
    ".pdf .docx .odt .pptx .odp .xlsx .xls .ods .epub .html .htm .xhtml .md .markdown .txt .rst "
    ".tex .log .csv .tsv .json .jsonl .yaml .yml .toml .ini .cfg .xml .css .py .js .ts .jsx .tsx "
    ".c .h .cpp .hpp .cc .cs .java .kt .go .rs .rb .php .swift .sh .bat .ps1 .sql .r .m .lua"
)
SUFFIXES: Final = frozenset(_SUFFIXES.split())  # other files are read where they are chosen
_NAME_CHARACTERS = 120
_JOINED_CHARACTERS = 200  # a fourth of a passage


class ReadDocument(frames.PipeMessage):
    """Reads a document from its beginning. `name` tells formats apart that look alike."""

    path: FilePath
    name: str
    memory_mib: int = MEMORY_MIB


class DocumentSlice(ChildProgress):
    """The next blocks; without any a sign of life."""

    kind: Literal["slice"] = "slice"
    blocks: tuple[Block, ...]


class DocumentRead(frames.PipeMessage):
    """A document has been read to its end."""

    kind: Literal["read"] = "read"
    format: str = Field(max_length=16)
    pages: int | None


_Reply = DocumentSlice | DocumentRead | ChildFailure
_replies: TypeAdapter[_Reply] = frames.one_of(_Reply)


def document_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder and of the folders in it that can be documents.

    Hidden files, links and unknown kinds are left out. Raises DocumentEmpty where there is no
    other, and DocumentTooLarge where there are more than `MAX_FOLDER_FILES`.
    """
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        files = [Path(folder, each) for each in sorted(names) if not each.startswith(".")]
        found += [f for f in files if f.suffix.lower() in SUFFIXES and not f.is_symlink()]
        if len(found) > MAX_FOLDER_FILES:
            limit = tr("It has more than {limit:,} files.", limit=MAX_FOLDER_FILES)
            raise DocumentTooLarge(name=path.name, detail=limit)
    if not found:
        raise DocumentEmpty(name=path.name)
    return found


def file_sha256(path: Path, name: str = "") -> str:
    """The hash of a file that may be a document. Raises DocumentNotRead and DocumentTooLarge."""
    name = _short(name or path.name)
    with _refusals(name):
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a device or a pipe may never end
            raise DocumentNotRead(name=name, detail=tr("it is no file"))
        if found.st_size > MAX_BYTES:
            mib = {"mib": found.st_size >> 20, "limit": MAX_BYTES >> 20}
            detail = tr("It has {mib:,} MiB; at most {limit:,} are read.", **mib)
            raise DocumentTooLarge(name=name, detail=detail)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def read_document(
    path: Path,
    *,
    name: str = "",
    stop: threading.Event | None = None,
    memory_mib: int = MEMORY_MIB,
) -> Document:
    """The text of one file. Raises a DocumentRefused, ReadingStopped soon after `stop` was set.

    `name` is the document's where the file has another. The process that reads it and the text
    here have `memory_mib`, at most `MEMORY_MIB`. Not for a window's thread.
    """
    name, memory_mib = _short(name or path.name), min(memory_mib, MEMORY_MIB)
    if memory_mib < READER_MIB:
        raise too_much_memory(name, memory_mib)
    before_mib = process_mib(os.getpid())
    digest = file_sha256(path, name)  # what reads the file could take another document's
    blocks: list[Block] = []
    characters, began, last_at = 0, time.monotonic(), time.monotonic()

    def check(_waited_s: float = 0.0) -> None:
        now = time.monotonic()
        if stop is not None and stop.is_set():
            raise ReadingStopped(name=name)
        if now - last_at > STALLED_S or now - began > LONGEST_S:
            raise DocumentTooLarge(name=name, detail=tr("Reading it takes too long."))
        if process_mib(os.getpid()) - before_mib + unshared_mib(child.pid) > memory_mib:
            raise too_much_memory(name, memory_mib)

    def take(some: DocumentSlice) -> None:
        nonlocal characters, last_at
        last_at = time.monotonic()
        check()
        characters += sum(len(block.text) + BLOCK_CHARACTERS for block in some.blocks)
        if characters > MAX_CHARACTERS:
            raise too_long(name)
        for block in some.blocks:
            before = blocks.pop() if blocks and _joins(blocks[-1], block) else None
            text = block.text if before is None else f"{before.text}{BETWEEN_BLOCKS}{block.text}"
            blocks.append(Block(text, (before or block).place))

    kind, memory_bytes = ChildKind.DOCUMENTS, memory_mib << 20
    request = ReadDocument(path=str(path), name=name, memory_mib=memory_mib)
    with (
        _refusals(name, memory_mib),
        ChildCall(kind, _replies, memory_bytes=memory_bytes, most_waiting=4) as child,
    ):
        read: DocumentRead = child.ask(request, on_progress=take, on_wait=check)
    if not blocks:
        raise DocumentEmpty(name=name)
    return Document(name, digest, read.format, read.pages, tuple(blocks))


def _joins(before: Block, block: Block) -> bool:
    """Whether they become one: a million short rows would take 200 MB."""
    one, other = before.place, block.place
    short = len(before.text) + len(block.text) < _JOINED_CHARACTERS
    return short and (one.page, one.heading, one.sheet) == (other.page, other.heading, other.sheet)


def _short(name: str) -> str:
    return frames.without_surrogates(name)[-_NAME_CHARACTERS:]


@contextmanager
def _refusals(name: str, memory_mib: int = MEMORY_MIB) -> Iterator[None]:
    """What ends the reading of a document is why it is refused."""
    try:
        yield
    except (OSError, ValueError) as problem:  # ValueError: no system has such a name
        detail = getattr(problem, "strerror", None) or str(problem)
        raise DocumentNotRead(name=name, detail=detail) from problem
    except ChildTooLarge:
        raise too_much_memory(name, memory_mib) from None
    except (ChildDied, ProtocolBroken) as error:
        how = error.how if isinstance(error, ChildDied) else str(error)
        detail = tr("the process that reads it ended ({how})", how=how)
        raise DocumentDamaged(name=name, detail=detail) from error


def too_long(name: str) -> DocumentTooLarge:
    """Its text is beyond the limit."""
    limit = tr("Its text has more than {limit:,} characters.", limit=MAX_CHARACTERS)
    return DocumentTooLarge(name=name, detail=limit)


def too_much_memory(name: str, memory_mib: int = MEMORY_MIB) -> DocumentTooLarge:
    """Reading it takes more memory than it may."""
    detail = tr("Reading it takes too much memory.")
    if memory_mib < MEMORY_MIB:
        left = tr("The memory budget leaves {mib:,} MiB: a larger one may do.", mib=memory_mib)
        detail = f"{detail} {left}"
    return DocumentTooLarge(name=name, detail=detail)
