"""Reads the headers of model files in a child process: the files may come from anywhere.

The caller's process, the window for instance, gets only the checked values. A file that ends the
reading process, hangs it or fills its memory is refused like any other unusable file.
"""

from __future__ import annotations

import queue
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.child_environment import background_options, child_environment, module_command
from deepseek_r1.core.child_process import (
    ChildProcess,
    FrameReceived,
    ProcessEvent,
    ProcessExited,
    StreamBroken,
    signal_name,
)
from deepseek_r1.core.errors import ErrorReport, ModelFileUnreadable
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.gguf import ModelHeader

HEADER_ARGUMENT: Final = "--read-headers"  # a bundle starts itself with it
HEADER_MODULE: Final = "deepseek_r1.catalogue.header_worker"
DEADLINE_S: Final = 30.0  # for one file; a large vocabulary takes 0.3 s, a sleeping drive seconds
LONGEST_TEXT: Final = 256  # characters of a metadata value that crosses the pipe


class _HeaderFrame(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")


class Reading(StrEnum):
    """The part of a file that is read."""

    CONTAINER = "container"  # of this one file
    MODEL = "model"  # all of the model that it belongs to
    LOADABLE = "loadable"  # of a model, and what a load uses beside its header


class ReadHeader(_HeaderFrame):
    """Reads one file. The last two fields are what a load is asked for."""

    path: FilePath
    reading: Reading = Reading.MODEL
    draft_path: FilePath = ""
    chat_template: str = ""


class HeaderRead(_HeaderFrame):
    """The header, without its paths; None where only the container was checked."""

    kind: Literal["header"] = "header"
    path: FilePath = ""
    parts: tuple[FilePath, ...] = ()
    header: ModelHeader | None = None


class HeaderRefused(_HeaderFrame):
    """The reason why the file cannot be used."""

    kind: Literal["refused"] = "refused"
    report: ErrorReport


header_reply_adapter: TypeAdapter[HeaderRead | HeaderRefused] = TypeAdapter(
    Annotated[HeaderRead | HeaderRefused, Field(discriminator="kind")],
    config=ConfigDict(defer_build=True),
)


class HeaderProcess:
    """Owns the process, which starts with the first file and ends with `close`. For one thread."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._events: queue.SimpleQueue[ProcessEvent] = queue.SimpleQueue()
        self._process: ChildProcess | None = None

    def __enter__(self) -> HeaderProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """The process's number while it runs."""
        return self._process.pid if self._process is not None else None

    def read_header(self, path: Path) -> ModelHeader:
        """The header, as `formats.gguf.read_header` returns it, without long texts.

        Those are the chat template and metadata of more than `LONGEST_TEXT` characters. Raises a
        ModelRefused.
        """
        reply = self._call(ReadHeader(path=str(path)), path)
        if reply.header is None:
            raise _unreadable(path, tr("the process that reads it sent no header"))
        parts = tuple(Path(part) for part in reply.parts)
        return replace(reply.header, path=Path(reply.path), parts=parts)

    def check_file(self, path: Path, whole: bool) -> None:
        """Check a whole model, or one file's container alone. Raises a ModelRefused."""
        request = ReadHeader(path=str(path), reading=Reading.MODEL if whole else Reading.CONTAINER)
        self._call(request, path)

    def check_loadable(self, path: Path, draft_path: str, chat_template: str) -> None:
        """Check what a load uses beside the headers: the template, and the draft's vocabulary.

        `chat_template` is that of `host.protocol.LoadRequest`. Raises what the load would raise.
        """
        request = ReadHeader(
            path=str(path),
            reading=Reading.LOADABLE,
            draft_path=draft_path,
            chat_template=chat_template,
        )
        self._call(request, path)

    def close(self) -> None:
        """End the process. Does nothing where none runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        while not isinstance(event := self._events.get(), ProcessExited):
            if isinstance(event, FrameReceived):
                process.frame_handled()
        process.close()

    def _call(self, request: ReadHeader, path: Path) -> HeaderRead:
        process = self._started(path)
        try:
            process.send(frames.pack(request, frames.TO_CHILD_CAP))
            reply = self._reply(process, path)
        except BaseException:  # its late reply would be taken for that to the next request
            self.close()
            raise
        if isinstance(reply, HeaderRefused):
            raise reply.report.error
        return reply

    def _started(self, path: Path) -> ChildProcess:
        if self._process is None:
            try:
                self._process = ChildProcess(
                    module_command(HEADER_MODULE, HEADER_ARGUMENT),
                    child_environment(),
                    header_reply_adapter,
                    self._events.put,
                    background_options(),
                )
            except OSError as error:
                raise _unreadable(path, str(error)) from error
        return self._process

    def _reply(self, process: ChildProcess, path: Path) -> HeaderRead | HeaderRefused:
        due = time.monotonic() + self._deadline_s
        while True:
            try:
                event = self._events.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                detail = tr("its header took longer than {n:,} seconds", n=round(self._deadline_s))
                raise _unreadable(path, detail) from None
            match event:
                case FrameReceived(reply=HeaderRead() | HeaderRefused() as reply):
                    process.frame_handled()
                    return reply
                case StreamBroken(error=error):
                    raise _unreadable(path, str(error))
                case ProcessExited(returncode=returncode):
                    self._process = None
                    process.close()
                    how = signal_name(returncode) if returncode < 0 else str(returncode)
                    detail = tr("the process that reads it ended ({how})", how=how)
                    raise _unreadable(path, detail)


def _unreadable(path: Path, detail: str) -> ModelFileUnreadable:
    return ModelFileUnreadable(path=str(path), detail=detail)
