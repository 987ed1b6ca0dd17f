"""Reads documents in a child process: they may come from anywhere.

Each document has a process of its own, which can open this one file and nothing else. What ends
that process, hangs it or fills its memory is refused like any other document that cannot be read.
"""

import hashlib
import json
import os
import re
import signal
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final

from deepseek_r1.core import frames
from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildTooLarge
from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.units import in_sentence
from deepseek_r1.documents.document import BETWEEN_BLOCKS, Block, Document, Place, RecognisedPage
from deepseek_r1.documents.errors import (
    DocumentDamaged,
    DocumentEmpty,
    DocumentNeedsMemory,
    DocumentNotRead,
    DocumentTooLarge,
    FolderTooLarge,
    PictureHasNoText,
    ReaderFull,
    ReadingStopped,
)
from deepseek_r1.documents.reader_protocol import (
    OCR_MIB,
    READER_MIB,
    DocumentRead,
    DocumentSlice,
    ReadDocument,
    replies,
)
from deepseek_r1.documents.reading_memory import MEMORY_MIB, ReadingMemory
from deepseek_r1.memory.meter import cpu_seconds, unshared_mib

MAX_BYTES: Final = 256 * 2**20
MAX_CHARACTERS: Final = 16 * 2**20  # some four million tokens
BLOCK_CHARACTERS: Final = 16  # that each block counts for, too
_SMALL_MIB, _OF_SIZE = 24, 6.0  # more, for any file and for each byte of one; measured
_WATCH_S = 0.1
_TRIES = 3  # to read a file between two changes
_OUT_OF_MEMORY = ("memory allocation of", "Fatal Python error: Aborted")  # Rust's; PDFium is silent
_IN_MEMORY_BYTES = 2**20  # of a document's text
MAX_FOLDER_FILES: Final = 2_000
STALLED_S: Final = 30.0  # without a page or a paragraph
_SILENT_S: Final = 8.0  # of the processor, without a page or a line of a picture
LONGEST_S: Final = 600.0
LONGEST_RECOGNITION_S: Final = 4 * 3600.0  # a page takes some seconds
_SUFFIXES = (
    ".pdf .docx .odt .pptx .odp .xlsx .xls .ods .epub .html .htm .xhtml .md .markdown .txt .rst "
    ".tex .log .csv .tsv .json .jsonl .yaml .yml .toml .ini .cfg .xml .css .py .js .ts .jsx .tsx "
    ".c .h .cpp .hpp .cc .cs .java .kt .go .rs .rb .php .swift .sh .bat .ps1 .sql .r .m .lua"
)
SUFFIXES: Final = frozenset(_SUFFIXES.split())  # other files are read where they are chosen
# None of a folder: it may have thousands that nobody would ask about.
PICTURES: Final = frozenset((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"))
_NAME_CHARACTERS = 120
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_JOINED_CHARACTERS = 200  # a fourth of a passage
_MOST_WAITING: Final = 4  # slices
_LEAST_MIB: Final = 64  # without them no process is kept ready


class SpareReader:
    """Keeps a process ready: starting one takes longer than reading a page. Any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._spare: ChildCall | None = None

    @property
    def has_spare(self) -> bool:
        with self._guard:
            return self._spare is not None and self._spare.idle

    def prepare(self, left_mib: float) -> None:
        """Start a process unless one is ready, or too little memory is left to use it."""
        with self._guard, suppress(OSError):  # `take` will say why none can be started
            if left_mib >= _LEAST_MIB and (self._spare is None or not self._spare.idle):
                self._spare = self._started()

    def take(self) -> ChildCall:
        """The process that is ready, or else a new one. The caller closes it. Raises OSError."""
        with self._guard:
            spare, self._spare = self._spare, None
        if spare is not None and not spare.idle:
            spare.close()
            spare = None
        return spare or self._started()

    def _started(self) -> ChildCall:
        kind = ChildKind.DOCUMENTS
        most = kind.value.memory_mib << 20
        return ChildCall(kind, replies, memory_bytes=most, most_waiting=_MOST_WAITING)


readers: Final = SpareReader()


def document_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder and of the folders in it that can be documents.

    Hidden files, links and unknown kinds are left out. Raises DocumentEmpty where there is no
    other, and FolderTooLarge where there are more than `MAX_FOLDER_FILES`.
    """
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    name = path.name or str(path)  # "." and "/" have none
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        files = [Path(folder, each) for each in sorted(names) if not each.startswith(".")]
        found += [f for f in files if f.suffix.lower() in SUFFIXES and not f.is_symlink()]
        if len(found) > MAX_FOLDER_FILES:
            raise FolderTooLarge(name=name, limit=MAX_FOLDER_FILES)
    if not found:
        raise DocumentEmpty(name=name)
    return found


def file_sha256(path: Path, name: str = "") -> str:
    """The hash of a file that may be a document. Raises DocumentNotRead and DocumentTooLarge."""
    name = _short(name or path.name)
    with _refusals(name):
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a device or a pipe may never end
            raise DocumentNotRead(name=name, detail=tr("it is not a file"))
        if found.st_size > MAX_BYTES:
            size, limit = in_sentence(found.st_size >> 20), in_sentence(MAX_BYTES >> 20)
            detail = tr("It has {size}; at most {limit} can be read.", size=size, limit=limit)
            raise DocumentTooLarge(name=name, detail=detail)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def read_document(
    path: Path,
    *,
    name: str = "",
    password: str = "",
    stop: threading.Event | None = None,
    memory: ReadingMemory | None = None,
    most_mib: int = MEMORY_MIB,
    more_follow: bool = False,
    on_page: Callable[[int], object] = lambda _page: None,
    is_web_page: bool = False,
) -> Document:
    """The text of one file. Raises a DocumentRefused, ReadingStopped soon after `stop` was set.

    `name` is the document's where the file has another, `password` that of a PDF. Without `memory`
    the process that reads it gets `most_mib`, else what `memory` leaves, up to this or to what it
    needs. Where `more_follow`, the next one's process starts meanwhile. `on_page` gets the page
    that was read last, some times a second, and 0 where its pictures are read from the first page
    on. `is_web_page` leaves out a page's navigation. Not for a window's thread.
    """
    name, memory = _short(name or path.name), memory or ReadingMemory()
    reading = _Reading(path, name, password, stop, memory, more_follow, on_page, is_web_page)
    document, read = _read_within(reading, most_mib, recognises=False)
    if read.pictures:
        on_page(0)  # the pages that were passed by are read now
        try:
            document, _ = _read_within(reading, most_mib, recognises=True)
        except (DocumentNeedsMemory, DocumentTooLarge, DocumentDamaged):
            if not read.has_text:
                raise  # else it keeps its text, which has a note for each picture
    if next(iter(document.blocks), None) is None:
        raise (PictureHasNoText if read.pictures else DocumentEmpty)(name=name)
    return document


@dataclass(frozen=True, slots=True)
class _Reading:
    """What `read_document` is asked for."""

    path: Path
    name: str
    password: str = field(repr=False)
    stop: threading.Event | None
    memory: ReadingMemory
    more_follow: bool
    on_page: Callable[[int], object]
    is_web_page: bool


def _read_within(
    wanted: _Reading, most_mib: int, *, recognises: bool
) -> tuple[Document, DocumentRead]:
    path, name, memory = wanted.path, wanted.name, wanted.memory
    spare_mib = READER_MIB if readers.has_spare else 0  # the budget has it already
    with _refusals(name):
        needed_mib = _needed_mib(path) - spare_mib + (OCR_MIB if recognises else 0)
        with memory.for_reader(name, needed_mib, most_mib) as more_mib:
            most_mib = min(more_mib + spare_mib, MEMORY_MIB)
            try:
                for _ in range(_TRIES):
                    before = _state(path)
                    read = _read(wanted, most_mib, recognises=recognises)
                    if before == _state(path):
                        return read
            except (ChildTooLarge, ReaderFull):
                raise memory.too_much(name, most_mib) from None
            except ChildDied as died:  # without memory native code aborts, and says nothing more
                if died.returncode == -signal.SIGABRT and died.stderr.startswith(_OUT_OF_MEMORY):
                    raise memory.too_much(name, most_mib) from died
                raise
    raise DocumentNotRead(name=name, detail=tr("another program is writing to it"))


def _read(wanted: _Reading, most_mib: int, *, recognises: bool) -> tuple[Document, DocumentRead]:
    path, name, stop, memory = wanted.path, wanted.name, wanted.stop, wanted.memory
    digest = file_sha256(path, name)  # what reads the file could take another document's
    blocks, began, last_at, watched_at = _StoredBlocks(), time.monotonic(), time.monotonic(), 0.0
    longest_s, used_s = (LONGEST_RECOGNITION_S if recognises else LONGEST_S), 0.0

    def check(_waited_s: float = 0.0) -> None:
        nonlocal watched_at
        now = time.monotonic()
        is_silent = recognises and cpu_seconds(child.pid) - used_s > _SILENT_S
        if stop is not None and stop.is_set():
            raise ReadingStopped(name=name)
        if is_silent or now - last_at > STALLED_S or now - began > longest_s:
            raise DocumentTooLarge(name=name, detail=tr("Reading it takes too long."))
        if now - watched_at > _WATCH_S:
            watched_at = now
            if unshared_mib(child.pid) > most_mib or memory.left_mib() < 0:
                raise ChildTooLarge

    def take(some: DocumentSlice) -> None:
        nonlocal last_at, used_s
        last_at, used_s = time.monotonic(), cpu_seconds(child.pid)
        check()
        for block in some.blocks:
            blocks.append(block)
        if some.blocks and (page := some.blocks[-1].place.page):
            wanted.on_page(page)
        if blocks.characters > MAX_CHARACTERS:
            raise too_long(name)

    request = ReadDocument(
        path=str(path),
        name=name,
        memory_mib=most_mib,
        recognises=recognises,
        is_web_page=wanted.is_web_page,
        password=wanted.password,
    )
    with readers.take() as child:
        if wanted.more_follow:
            readers.prepare(memory.left_mib())
        read: DocumentRead = child.ask(request, on_progress=take, on_wait=check)
    return Document(name, digest, read.format, read.pages, blocks), read


def _needed_mib(path: Path) -> int:
    """What reading such a file takes, in the process that does it; measured. Raises OSError."""
    return READER_MIB + _SMALL_MIB + ceil(path.stat().st_size / 2**20 * _OF_SIZE)


def _state(path: Path) -> tuple[int, ...]:
    """What is another once a file has been written to. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class _StoredBlocks(Iterable[Block]):
    """Blocks in a temporary file: in memory the texts of a large document would take 200 MB."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+", encoding="utf-8")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._last: Block | None = None  # the next one may be joined to it
        self.characters = 0  # with what each block counts for, too

    def append(self, block: Block) -> None:
        """Raises OSError."""
        self.characters += len(block.text) + BLOCK_CHARACTERS
        if (last := self._last) is not None and _joins(last, block):
            text = f"{last.text}{BETWEEN_BLOCKS}{block.text}"
            boxes = last.recognised.boxes + block.recognised.boxes
            block = Block(text, last.place, last.recognised._replace(boxes=boxes))
        elif last is not None:
            place = last.place
            fields = place.page, place.heading, place.sheet, place.row, place.line, place.sure
            self._file.write(f"{json.dumps((last.text, fields, last.recognised))}\n")
        self._last = block

    def __iter__(self) -> Iterator[Block]:
        """Raises OSError."""
        self._file.seek(0)
        for line in self._file:
            text, place, recognised = json.loads(line)
            yield Block(text, Place(*place), RecognisedPage.of(*recognised))
        if self._last is not None:
            yield self._last


def _joins(before: Block, block: Block) -> bool:
    """Whether they become one: a million short rows would take 200 MB."""
    one, other = before.place, block.place
    short = len(before.text) + len(block.text) < _JOINED_CHARACTERS
    same = (one.page, one.heading, one.sheet) == (other.page, other.heading, other.sheet)
    return short and same and one.sure == other.sure


def _short(name: str) -> str:
    """Without what could begin a line of a prompt."""
    return _CONTROLS.sub(" ", frames.without_surrogates(name))[-_NAME_CHARACTERS:]


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """What ends the reading of a document is why it is refused."""
    try:
        yield
    except (OSError, ValueError) as problem:  # ValueError: no system has such a name
        detail = getattr(problem, "strerror", None) or str(problem)
        raise DocumentNotRead(name=name, detail=detail) from problem
    except (ChildDied, ProtocolBroken) as error:
        how = error.how if isinstance(error, ChildDied) else str(error)
        detail = tr("the process that reads it ended ({how})", how=how)
        raise DocumentDamaged(name=name, detail=detail) from error


def too_long(name: str) -> DocumentTooLarge:
    """Its text is beyond the limit."""
    limit = tr("Its text has more than {limit:,} characters.", limit=MAX_CHARACTERS)
    return DocumentTooLarge(name=name, detail=limit)
