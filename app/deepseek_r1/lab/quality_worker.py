"""The child process that measures one model: reads a request, writes progress and a result.

It is started as `python -m deepseek_r1.lab.quality_worker`. Its standard output carries
frames only; the output of native libraries goes to standard error.
"""

from __future__ import annotations

import time
from typing import Final

from pydantic import BaseModel

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.lab.importance_matrix import collect
from deepseek_r1.lab.quality_measure import evaluate
from deepseek_r1.lab.quality_messages import (
    Collect,
    Evaluate,
    MeasurementProgress,
    request_adapter,
)
from deepseek_r1.native.child_start import serve, start_child

_PROGRESS_EVERY_S: Final = 0.1


def main() -> None:
    """Read a request from standard input and carry it out."""
    child = start_child(ChildKind.MEASUREMENT)
    due_at = 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal due_at
        if time.monotonic() >= due_at:
            child.send(MeasurementProgress(done=done, total=total))
            due_at = time.monotonic() + _PROGRESS_EVERY_S

    def answer(request: Evaluate | Collect) -> BaseModel:
        if isinstance(request, Collect):
            return collect(request, on_progress)
        return evaluate(request, on_progress)

    serve(child, request_adapter, answer, _failure)


def _failure(_request: object, error: Exception) -> R1Error:
    raise error  # a bug: its trace is the owner's explanation


if __name__ == "__main__":
    main()
