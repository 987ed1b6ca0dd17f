"""Reads files into the index of documents, in threads."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import N_
from deepseek_r1.documents.errors import DocumentNotRead
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.passages import estimated_tokens
from deepseek_r1.documents.reading import MAX_FOLDER_FILES, document_files, read_document
from deepseek_r1.hardware.processor import on_battery
from r1desk.platform.background_thread import (
    BackgroundAnswer,
    give_in_background,
    stream_in_background,
)
from r1desk.store import Attachment

MAX_FILES = 200  # in one conversation
_PROGRESS_S = 0.1
_LONGEST_PAUSE_S = 2.0  # between two files of many
_COUNTED = 400_000  # characters; a longer text is never read whole, and its tokens are estimated


class TooManyDocuments(R1Error):
    """More files than one conversation takes."""

    what = N_("Not all files were attached.")
    why = N_("A conversation takes at most {limit} files.")
    todo = N_("Put them into a folder of chats, or begin another chat.")


@dataclass(frozen=True, slots=True)
class ReadingProgress:
    """A file that is being read: pages, slides or chapters so far, and how many there are."""

    path: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file that was read, or why it was refused."""

    path: str
    result: Attachment | ErrorReport


class FileReader:
    """Reads one file after the other. What many files take is left to answers and to others."""

    def __init__(
        self,
        index: Callable[[], DocumentIndex],
        count: Callable[[str], int],
        is_busy: Callable[[], bool],
        on_ended: Callable[[Sequence[str]], None],
    ) -> None:
        """`count` counts tokens, `is_busy` whether an answer is being written; in any thread.

        `on_ended` gets the hashes of files after they were given out; in the main thread.
        """
        self._index, self._count, self._is_busy = index, count, is_busy
        self._on_ended = on_ended
        self._closed = threading.Event()
        self._refused: set[tuple[str, int]] = set()  # changed files: paths, with their times
        self._given: dict[str, float] = {}  # hashes; the clock when their files were given out
        self.waits_for_mains = True  # with many files

    def close(self) -> None:
        """Read no more files."""
        self._closed.set()

    def hurry(self) -> None:
        """Read on battery, too."""
        self.waits_for_mains = False

    def is_new(self, sha256: str, within_s: float = 0.0) -> bool:
        """Whether a file is in the index, but not given out yet or just now. Any thread."""
        return time.monotonic() - self._given.get(sha256, -math.inf) < within_s

    def read(
        self, paths: Iterable[str], stop: threading.Event, *, gently: bool = False
    ) -> BackgroundAnswer:
        """Read files and those of folders, one after the other, into the index.

        `ReadingProgress` and `FileRead` come as results, until `stop` is set. `gently`: many files,
        at the pace of a machine that has other work, and not on battery.
        """
        hashes: list[str] = []
        reading = give_in_background(partial(self._read_all, tuple(paths), stop, gently, hashes))
        reading.ended.connect(partial(self._settle, hashes))
        return reading

    def _settle(self, hashes: Sequence[str]) -> None:
        self._given |= dict.fromkeys(hashes, time.monotonic())
        self._on_ended(hashes)

    def reread(self, hashes: Collection[str]) -> BackgroundAnswer:
        """Read those of these documents again whose files have changed.

        The results are pairs: the hash before, and the Attachment now. One that cannot be read any
        more is refused once, and its text stays.
        """
        new: list[str] = []
        rereading = stream_in_background(partial(self._changed, hashes, new))
        rereading.ended.connect(partial(self._settle, new))
        return rereading

    def _changed(
        self, hashes: Collection[str], new: list[str]
    ) -> Iterator[tuple[str, Attachment] | ErrorReport]:
        for each in self._index().documents():
            file = Path(each.path)
            try:
                state = each.path, file.stat().st_mtime_ns
            except OSError:
                continue  # moved or deleted: its text stays
            known = state == (each.path, each.modified_ns) or state in self._refused
            if not each.path or each.sha256 not in hashes or known:
                continue
            self._wait_for_turn(self._closed, 0)
            read = self._read_one(file, self._closed, lambda _progress: None, new)
            if isinstance(read, ErrorReport):
                self._refused.add(state)
                yield read
            elif read.sha256 != each.sha256:
                yield each.sha256, read

    def _wait_for_turn(self, stop: threading.Event, spent_s: float) -> None:
        stop.wait(min(_LONGEST_PAUSE_S, spent_s))
        while not (stop.is_set() or self._closed.is_set()) and (
            self._is_busy() or (self.waits_for_mains and on_battery())
        ):
            stop.wait(1.0)

    def _read_all(
        self,
        paths: Sequence[str],
        stop: threading.Event,
        gently: bool,
        hashes: list[str],
        give: Callable[[object], None],
    ) -> None:
        files: list[Path] = []
        for path in map(Path, paths):
            try:
                files += document_files(path)
            except (R1Error, OSError) as error:
                give(FileRead(str(path), _refusal(path, error)))
        most = MAX_FOLDER_FILES if gently else MAX_FILES
        if len(files) > most:
            give(FileRead("", TooManyDocuments(limit=most).report()))
        for each in files[:most]:
            give(ReadingProgress(str(each), 0, None))
        for each in files[:most]:
            began = time.monotonic()
            if stop.is_set() or self._closed.is_set():
                return
            give(FileRead(str(each), self._read_one(each, stop, give, hashes)))
            if gently:
                self._wait_for_turn(stop, time.monotonic() - began)

    def _read_one(
        self,
        file: Path,
        stop: threading.Event,
        give: Callable[[object], None],
        hashes: list[str],
    ) -> Attachment | ErrorReport:
        given = 0.0

        def progress(done: int, total: int | None) -> None:
            nonlocal given
            if time.monotonic() - given > _PROGRESS_S:
                given = time.monotonic()
                give(ReadingProgress(str(file), done, total))

        try:
            modified_ns = file.stat().st_mtime_ns
            document = read_document(file, on_progress=progress, stop=stop)
            hashes.append(document.sha256)
            self._given[document.sha256] = math.inf
            self._index().add(document, str(file), modified_ns)
            text = document.text()
            tokens = self._count(text) if len(text) <= _COUNTED else estimated_tokens(text)
        except (R1Error, OSError) as error:
            return _refusal(file, error)
        name, pages = document.name, document.pages or 0
        return Attachment(name, tokens=tokens, sha256=document.sha256, pages=pages)


def _refusal(path: Path, error: R1Error | OSError) -> ErrorReport:
    if isinstance(error, R1Error):
        return error.report()
    return DocumentNotRead(name=path.name, detail=error.strerror or str(error)).report()
