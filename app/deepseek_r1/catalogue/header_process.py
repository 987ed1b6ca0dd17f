"""Reads the headers of model files in a child process: the files may come from anywhere.

The caller's process, the window for instance, gets only the checked values. A file that ends the
reading process, hangs it or fills its memory is refused like any other unusable file.
"""

from __future__ import annotations

import os
import threading
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildFailure, ChildTooSlow
from deepseek_r1.core.errors import ModelFileUnreadable, ProtocolBroken
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.frames import PipeMessage, one_of
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.formats.gguf import ModelHeader

DRIVE_S: Final = 10.0  # for a drive to wake up; a dead network share never answers
DEADLINE_S: Final = 30.0  # for one file; a large vocabulary takes 0.3 s, a sleeping drive seconds
LONGEST_TEXT: Final = 256  # characters of a metadata value that crosses the pipe
_MOST_HEADERS = 64  # some 150 KB each
# By all processes, of files that have not changed.
_known: dict[tuple[bool, Path, int, int, int], ModelHeader] = {}
_late: dict[Path, threading.Thread] = {}  # that wait for a file's drive


class Reading(StrEnum):
    """The part of a file that is read."""

    CONTAINER = "container"  # of this one file
    MODEL = "model"  # all of the model that it belongs to
    EMBEDDING = "embedding"  # all of an embedding model
    LOADABLE = "loadable"  # all of a model, with its template, which has to be usable


class ReadHeader(PipeMessage):
    """Reads one file. The last two fields are what a load is asked for."""

    path: FilePath
    reading: Reading = Reading.MODEL
    draft_path: FilePath = ""
    chat_template: str = ""


class HeaderRead(PipeMessage):
    """The header; None where only the container was checked."""

    kind: Literal["header"] = "header"
    header: ModelHeader | None = None


header_reply_adapter: TypeAdapter[HeaderRead | ChildFailure] = one_of(HeaderRead | ChildFailure)


class HeaderProcess:
    """Owns the process, which starts with the first file and ends with `close`. For one thread."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._child: ChildCall | None = None

    def __enter__(self) -> HeaderProcess:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """The process's number while it runs."""
        return self._child.pid if self._child is not None and self._child.running else None

    def read_header(self, path: Path, *, embedding: bool = False) -> ModelHeader:
        """The header, as `formats.gguf.read_header` returns it, without long texts.

        Those are the chat template and metadata of more than `LONGEST_TEXT` characters. It comes
        from memory where the file has not changed: reading takes 0.1 s. Models in several files are
        always read: any of their parts may be another one by now. Raises a ModelRefused.
        """
        if not drive_answers(path):
            raise _too_slow(path, DRIVE_S)
        try:
            found = path.stat()
        except (OSError, ValueError):  # ValueError: no system has such a name
            return self._read(path, embedding=embedding)
        key = (embedding, path, found.st_ino, found.st_size, found.st_mtime_ns)
        header = _known.get(key)  # other threads forget headers at any time
        if header is None:
            header = self._read(path, embedding=embedding)
            if len(header.parts) == 1:
                if len(_known) >= _MOST_HEADERS:
                    _known.clear()
                _known[key] = header
        return header

    def _read(self, path: Path, *, embedding: bool) -> ModelHeader:
        reading = Reading.EMBEDDING if embedding else Reading.MODEL
        return self._header(ReadHeader(path=str(path), reading=reading))

    def check_file(self, path: Path, whole: bool) -> None:
        """Check a whole model, or one file's container alone. Raises a ModelRefused."""
        reading = Reading.MODEL if whole else Reading.CONTAINER
        self._call(ReadHeader(path=str(path), reading=reading), path)

    def read_loadable(self, path: Path, draft_path: str, chat_template: str) -> ModelHeader:
        """The header with its template, once that and the draft's vocabulary were tried.

        `chat_template` is that of `host.protocol.LoadRequest`. Raises what the load would raise.
        """
        more = {"draft_path": draft_path, "chat_template": chat_template}
        return self._header(ReadHeader(path=str(path), reading=Reading.LOADABLE, **more))

    def _header(self, request: ReadHeader) -> ModelHeader:
        header = self._call(request, path := Path(request.path)).header
        if header is None:
            raise _unreadable(path, tr("the process that reads it sent nothing"))
        return header

    def close(self) -> None:
        """End the process. Does nothing where none runs."""
        if self._child is not None:
            self._child.close()

    def _call(self, request: ReadHeader, path: Path) -> HeaderRead:
        try:
            if self._child is None or not self._child.running:
                self._child = ChildCall(ChildKind.HEADERS, header_reply_adapter)
            read: HeaderRead = self._child.ask(request, deadline_s=self._deadline_s)
        except ChildTooSlow:
            raise _too_slow(path, self._deadline_s) from None
        except ChildDied as died:
            detail = tr("the process that reads it ended ({how})", how=died.how)
            raise _unreadable(path, detail) from died
        except (OSError, ProtocolBroken) as error:
            raise _unreadable(path, str(error)) from error
        else:
            return read


def drive_answers(path: Path) -> bool:
    """False for a file whose drive does not answer: calls for such a file never return."""
    if path not in _late or not _late[path].is_alive():
        look = threading.Thread(target=os.path.lexists, args=(path,), daemon=True)
        look.start()
        look.join(DRIVE_S)
        if not look.is_alive():
            return True
        _late[path] = look
    return False


def _too_slow(path: Path, seconds: float) -> ModelFileUnreadable:
    return _unreadable(
        path, tr("reading its header took longer than {n:,} seconds", n=round(seconds))
    )


def _unreadable(path: Path, detail: str) -> ModelFileUnreadable:
    return ModelFileUnreadable(path=str(path), detail=detail)
