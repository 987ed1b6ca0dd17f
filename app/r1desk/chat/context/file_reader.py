"""Reads files into the index of documents, in threads."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from errno import ENOSPC
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict, Unpack

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import RetryPolicy
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.heap import trim_heap
from deepseek_r1.core.i18n import N_, tr, trn
from deepseek_r1.documents.errors import DocumentNotRead, PdfLocked
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.passages import estimated_tokens
from deepseek_r1.documents.reading import MAX_FOLDER_FILES, document_files, read_document
from deepseek_r1.documents.reading_memory import ReadingMemory
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.loaded_model import TokenCounter
from r1desk.platform.background_thread import stream_in_background
from r1desk.platform.helper_processes import add_helper, remove_helper
from r1desk.platform.tasks import Later, Tasks, report_of, task
from r1desk.store import Attachment

MAX_FILES = 200  # in one conversation
_LONGEST_PAUSE_S = 2.0  # between two files of many
_BRISK_S = 30.0  # files are read so long without pauses, as a few are
_NAME_CHARACTERS = 90
_THUMBNAIL_PX = 96, 64
_COUNTED = 400_000  # characters; a longer text is never read whole, and its tokens are estimated


class TooManyDocuments(R1Error):
    """More files than one conversation takes."""

    what = N_("Not all files were attached.")
    why = N_("A chat can have {limit} files at most.")
    todo = N_("Put them into a folder of chats, or start another chat.")


@dataclass(eq=False, slots=True)
class FileReading:
    """Files that are being read; `folder` of chats gets them, or the draft of `conversation`."""

    name: str
    folder: int | None
    conversation: int | None  # None: the new chat
    address: str = ""  # of a web page
    text: str = ""  # of the message, which becomes a document
    stop: threading.Event = field(default_factory=threading.Event)
    fetching: Stop = field(default_factory=Stop)
    total: int = 0  # files
    left: int = 0  # of them, which wait
    page: int = 0  # of the file being read; 0 where it has none
    picture: QImage | None = None  # that is in no file
    thumbnail: QImage | None = None  # of it
    was_left: bool = False  # another conversation was shown meanwhile


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A PDF that was chosen itself, and that its password opens; `folder` of chats gets it."""

    path: str
    folder: int | None
    report: ErrorReport


class _ReadingOptions(TypedDict, total=False):
    """Those of `read_document`."""

    password: str
    more_follow: bool
    on_page: Callable[[int], object]
    name: str
    is_web_page: bool


_Result = Attachment | ErrorReport | LockedFile


class FileReader(QObject):
    """Reads one file after the other into the index."""

    # the FileReading, and an Attachment; one that was read while it was stopped too
    file_read = Signal(object, object)
    refused = Signal(ErrorReport)  # the ErrorReport of a file
    locked = Signal(LockedFile)  # a LockedFile, for which `read` takes the password
    changed = Signal()  # other `readings`, or another page of one that is not read gently

    def __init__(
        self,
        index: DocumentIndex,
        counter: TokenCounter,
        chat: ChatController,
        *,
        memory: ReadingMemory | None = None,
        gently: bool = False,
    ) -> None:
        """`memory` as in `read_document`.

        `gently`: many files, at the pace of a machine that has other work.
        """
        super().__init__()
        self._index, self._counter, self._chat, self._gently = index, counter, chat, gently
        self._memory = memory
        self.policy = RetryPolicy()  # for web pages
        self.tasks = Tasks(self, self.refuse)
        self._closed = threading.Event()
        self._refused: set[tuple[str, int | None]] = set()  # changed files: paths and times
        self.readings: list[FileReading] = []

    def close(self) -> None:
        """Read no more, and report nothing more."""
        self._closed.set()
        self.blockSignals(True)
        self.end(*self.readings)

    def read(self, paths: Sequence[str], folder: int | None = None, password: str = "") -> None:
        name = trn("{n:,} file", "{n:,} files", len(paths)) if paths[1:] else Path(paths[0]).name
        reading = FileReading(name, folder, self._chat.conversation_id)
        self._read(partial(self._read_all, tuple(paths), password), reading)

    def read_picture(self, picture: QImage) -> None:
        name, chat = f"{tr('Pasted picture')}.png", self._chat.conversation_id
        self._read(self._read_made, FileReading(name, None, chat, picture=picture))

    def read_page(self, address: str) -> None:
        """Fetch a web page, once, and read it."""
        chat = self._chat.conversation_id
        self._read(self._read_made, FileReading(address, None, chat, address=address))

    def read_text(self, text: str) -> None:
        name, chat = f"{tr('Pasted text')}.txt", self._chat.conversation_id
        self._read(self._read_made, FileReading(name, None, chat, text=text))

    @task
    async def _read(
        self, read: Callable[[FileReading], Iterator[_Result]], reading: FileReading
    ) -> None:
        self.readings.append(reading)
        self.changed.emit()
        try:
            async for file in stream_in_background(read, reading):
                if isinstance(file, Attachment):
                    self.file_read.emit(reading, file)
                elif not reading.stop.is_set():
                    (self.locked if isinstance(file, LockedFile) else self.refused).emit(file)
        finally:
            self.end(reading)

    def _read_made(self, reading: FileReading) -> Iterator[_Result]:
        """Read what is in no file; of a picture the one that is made is kept."""
        reading.total = reading.left = 1
        with TemporaryDirectory() as folder:
            file = Path(folder, "page" if reading.address else reading.name)
            try:
                options = self._make_file(reading, file)
            except (R1Error, OSError) as error:
                result: _Result = _refusal(file, error)
            else:
                keeps = reading.picture is not None
                result = self._read_one(file, reading.stop, keeps=keeps, **options)
            reading.left = 0
            yield result

    def _make_file(self, reading: FileReading, file: Path) -> _ReadingOptions:
        if reading.address:
            from deepseek_r1.catalogue import network_process  # noqa: PLC0415 - not for the start

            process = network_process.NetworkProcess(add_helper, remove_helper)
            last = process.fetch_page(reading.address, file, self.policy, reading.fetching)
            return _ReadingOptions(name=page_name(last, date.today()), is_web_page=True)
        if reading.picture is None:
            file.write_text(reading.text, encoding="utf-8", errors="replace")
        else:
            ways = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            reading.thumbnail = reading.picture.scaled(*_THUMBNAIL_PX, *ways)
            if not reading.picture.save(str(file)):
                raise OSError(ENOSPC, os.strerror(ENOSPC), str(file))
        return _ReadingOptions()

    def refuse(self, error: Exception) -> None:
        self.refused.emit(report_of(error))

    def end(self, *readings: FileReading) -> None:
        """Read no more files of these; those that were read stay."""
        for each in readings:
            each.stop.set()
            each.fetching.request()
        self.readings = [each for each in self.readings if not each.stop.is_set()]
        self.changed.emit()

    def reread(self, hashes: Collection[str]) -> Later[tuple[str, Attachment] | ErrorReport]:
        """Read those of these documents again whose files have changed.

        The results are pairs: the hash before, and the Attachment now. One that cannot be read any
        more is refused once, and its text stays.
        """
        return stream_in_background(self._changed, hashes)

    def _changed(self, hashes: Collection[str]) -> Iterator[tuple[str, Attachment] | ErrorReport]:
        for each in self._index.documents() if hashes else ():
            state = each.path, _modified_ns(each.path)
            known = state in self._refused or state[1] in {None, each.modified_ns}
            if each.sha256 not in hashes or known:
                continue
            self._wait_for_turn(self._closed, 0)
            read = self._read_one(Path(each.path), self._closed)
            if isinstance(read, ErrorReport):
                self._refused.add(state)
                yield read
            elif read.sha256 != each.sha256:
                yield each.sha256, read

    def _wait_for_turn(self, stop: threading.Event, spent_s: float) -> None:
        stop.wait(min(_LONGEST_PAUSE_S, spent_s))
        while self._chat.busy:
            if stop.wait(1.0):
                return

    def _read_all(
        self, paths: Collection[str], password: str, reading: FileReading
    ) -> Iterator[_Result]:
        files, chosen = list[Path](), [Path(each) for each in paths]
        for path in chosen:
            try:
                files += document_files(path)
            except (R1Error, OSError) as error:
                yield _refusal(path, error)
        most = MAX_FOLDER_FILES if self._gently else MAX_FILES
        if len(files) > most:
            yield TooManyDocuments(limit=most).report()
        files = files[:most]
        reading.total = reading.left = len(files)
        all_began = time.monotonic()
        for done, each in enumerate(files, 1):
            began = time.monotonic()
            if reading.stop.is_set():
                return
            show = partial(self._on_page, reading)
            more = done < len(files)
            options = _ReadingOptions(password=password, more_follow=more, on_page=show)
            file: _Result = self._read_one(each, reading.stop, **options)
            reading.page = 0
            reading.left = len(files) - done
            if isinstance(file, ErrorReport) and isinstance(file.error, PdfLocked):
                file = LockedFile(str(each), reading.folder, file) if each in chosen else file
            yield file
            if self._gently:
                is_long = began - all_began > _BRISK_S
                self._wait_for_turn(reading.stop, is_long * (time.monotonic() - began))

    def _on_page(self, reading: FileReading, page: int) -> None:
        reading.page = page
        if not self._gently:
            self.changed.emit()

    def _read_one(
        self,
        file: Path,
        stop: threading.Event,
        *,
        keeps: bool = False,
        **options: Unpack[_ReadingOptions],
    ) -> Attachment | ErrorReport:
        """`keeps` the file itself, which is nowhere else."""
        try:
            modified_ns = file.stat().st_mtime_ns
            document = read_document(file, stop=stop, memory=self._memory, **options)
            data = file.read_bytes() if keeps else b""
            self._index.add(document, str(file), modified_ns, data)
            if document.characters() <= _COUNTED:
                tokens = self._counter.count_tokens(document.text())
            else:
                tokens = sum(estimated_tokens(block.text) for block in document.blocks)
        except (R1Error, OSError) as error:
            return _refusal(file, error)
        finally:
            trim_heap()
        name, pages = document.name, document.pages or 0
        return Attachment(name, tokens=tokens, sha256=document.sha256, pages=pages)


def page_name(address: str, fetched: date) -> str:
    """A web page's name as a document: its address, the middle left out of a long one, and when."""
    shown = address.partition("://")[2].rstrip("/")
    if len(shown) > _NAME_CHARACTERS:
        shown = f"{shown[: _NAME_CHARACTERS - 25]}…{shown[-24:]}"
    return f"{shown} ({fetched.isoformat()})"


def _modified_ns(path: str) -> int | None:
    """None for no path, and for a file that was moved or deleted: its text stays."""
    with suppress(OSError):
        return Path(path).stat().st_mtime_ns if path else None
    return None


def _refusal(path: Path, error: R1Error | OSError) -> ErrorReport:
    if isinstance(error, R1Error):
        return error.report()
    return DocumentNotRead(name=path.name, detail=error.strerror or str(error)).report()
