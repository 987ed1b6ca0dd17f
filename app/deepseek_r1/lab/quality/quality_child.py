"""Runs a measurement in a child process, because a model's file is untrusted: the parent's side."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deepseek_r1.core import frames
from deepseek_r1.core.child_process import (
    ChildProcess,
    FrameReceived,
    ProcessEvent,
    ProcessExited,
    StreamBroken,
)
from deepseek_r1.core.errors import EngineDied
from deepseek_r1.core.i18n import tr
from deepseek_r1.lab.quality.quality_messages import (
    Collect,
    Collected,
    Evaluate,
    Measurement,
    MeasurementFailed,
    MeasurementProgress,
    reply_adapter,
)

CHILD_ARGUMENT: Final = "--measure-model"  # a bundle starts itself with it
_DETAIL_CHARACTERS: Final = 400
_POLL_S: Final = 0.5  # on Windows, Ctrl-C does not interrupt a longer wait

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """The environment and the options of Popen for the child process."""

    environment: Mapping[str, str]
    options: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        """The command line, in a bundle, a wheel or a checkout."""
        if getattr(sys, "frozen", False):
            return [sys.executable, CHILD_ARGUMENT]
        return [
            sys.executable,
            "-P",
            "-X",
            "utf8",
            "-m",
            "deepseek_r1.lab.quality.quality_worker",
        ]


def run_request(
    request: Evaluate | Collect, launch: Launch, on_progress: OnProgress
) -> Measurement | Collected:
    """Start the process, send it one request, and wait for its reply.

    Raises what the process reports, EngineDied if it ends without a reply, ProtocolBroken.
    The process ends with this call, also after an exception.
    """
    events: queue.SimpleQueue[ProcessEvent] = queue.SimpleQueue()
    process = ChildProcess(
        launch.command, launch.environment, reply_adapter, events.put, launch.options
    )
    exited = False
    try:
        process.send(frames.pack(request, frames.TO_CHILD_CAP))
        while True:
            match _next(events):
                case FrameReceived(reply=MeasurementProgress(done=done, total=total)):
                    process.frame_handled()
                    on_progress(done, total)
                case FrameReceived(reply=MeasurementFailed(report=report)):
                    raise report.error
                case FrameReceived(reply=reply):
                    result: Measurement | Collected = reply
                    return result
                case StreamBroken(error=error):
                    raise error
                case ProcessExited(returncode=returncode):
                    exited = True
                    detail = process.stderr.strip()[-_DETAIL_CHARACTERS:]
                    raise EngineDied(how=_exit_text(returncode), detail=detail)
    finally:
        process.kill()
        while not exited:
            event = _next(events)
            if isinstance(event, FrameReceived):
                process.frame_handled()
            exited = isinstance(event, ProcessExited)
        process.close()


def _next(events: queue.SimpleQueue[ProcessEvent]) -> ProcessEvent:
    while True:
        try:
            return events.get(timeout=_POLL_S)
        except queue.Empty:
            continue


def _exit_text(returncode: int) -> str:
    if returncode < 0:
        return tr("signal {number}", number=-returncode)
    return tr("exit code {number}", number=returncode)
