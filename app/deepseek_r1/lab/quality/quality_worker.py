"""The child process that measures one model: reads a request, writes progress and a result.

It is started as `python -m deepseek_r1.lab.quality.quality_worker`. Its standard output carries
frames only; the output of native libraries goes to standard error.
"""

from __future__ import annotations

import os
import sys
import time
from typing import BinaryIO, Final

from pydantic import BaseModel

from deepseek_r1.core import frames
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import use_language
from deepseek_r1.lab.importance_matrix import collect
from deepseek_r1.lab.quality.quality_measure import evaluate
from deepseek_r1.lab.quality.quality_messages import (
    Collect,
    MeasurementFailed,
    MeasurementProgress,
    request_adapter,
)
from deepseek_r1.native.owner_watch import end_with_owner

_PROGRESS_EVERY_S: Final = 0.1


def main() -> None:
    """Read a request from standard input and carry it out."""
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    with os.fdopen(os.dup(1), "wb") as sink:
        os.dup2(2, 1)
        end_with_owner(0)
        replies = _Replies(sink)
        body = frames.read(sys.stdin.buffer, frames.TO_CHILD_CAP)
        if body is None:  # the parent has ended
            return
        request = frames.parse(body, request_adapter)
        try:
            result: BaseModel = (
                collect(request, replies.on_progress)
                if isinstance(request, Collect)
                else evaluate(request, replies.on_progress)
            )
        except R1Error as error:
            result = MeasurementFailed(report=error.report())
        replies.send(result)


class _Replies:
    """Writes replies to the parent; progress a few times per second."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._next_s = sink, 0.0

    def on_progress(self, done: int, total: int) -> None:
        """Send the progress unless the last one was just sent."""
        if time.monotonic() >= self._next_s:
            self.send(MeasurementProgress(done=done, total=total))
            self._next_s = time.monotonic() + _PROGRESS_EVERY_S

    def send(self, message: BaseModel) -> None:
        """Write a message as a frame."""
        self._sink.write(frames.pack(message, frames.FROM_CHILD_CAP))
        self._sink.flush()


if __name__ == "__main__":
    main()
