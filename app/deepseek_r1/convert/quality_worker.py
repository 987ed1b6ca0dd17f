"""The process that measures one model: reads a request, answers with progress and a result.

Started as `python -m deepseek_r1.convert.quality_worker`. Its standard output is for the answers
only: what native libraries print goes to standard error.
"""

from __future__ import annotations

import os
import sys
import time
from typing import BinaryIO, Final

from deepseek_r1.convert.importance import collect
from deepseek_r1.convert.quality_measure import evaluate
from deepseek_r1.convert.quality_messages import Collect, Failed, Progress, request_adapter
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import use_language

_PROGRESS_EVERY_S: Final = 0.1


def main() -> None:
    """Do what the request on standard input says."""
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    with os.fdopen(os.dup(1), "wb") as sink:
        os.dup2(2, 1)
        request = request_adapter.validate_json(sys.stdin.buffer.read())
        tell = _Teller(sink)
        try:
            result = (
                collect(request, tell) if isinstance(request, Collect) else evaluate(request, tell)
            )
        except R1Error as error:
            tell.send(Failed(report=error.report()).model_dump_json())
            return
        tell.send(result.model_dump_json())


class _Teller:
    """Sends how far the work is, a few times a second."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._next_s = sink, 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next_s:
            self.send(Progress(done=done, total=total).model_dump_json())
            self._next_s = time.monotonic() + _PROGRESS_EVERY_S

    def send(self, line: str) -> None:
        self._sink.write(line.encode() + b"\n")
        self._sink.flush()


if __name__ == "__main__":
    main()
