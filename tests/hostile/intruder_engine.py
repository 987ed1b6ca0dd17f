"""The engine's process with a model loaded, and an intruder's code in place of the answers.

A question is a Python statement; the answer is "done", or "refused" where the system refused it.
Run by the supervisor as `python intruder_engine.py`.
"""

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

from deepseek_r1.core.events import AnswerDelta, FinishReason, GenerationFinished, GenerationStats
from deepseek_r1.host import child, protocol
from deepseek_r1.host.worker import Worker

MODULES = {
    module.__name__: module
    for module in (ctypes, mmap, os, signal, socket, subprocess, sys, threading)
}


def _outcome(statement: str) -> str:
    try:
        exec(statement, {**MODULES, "Path": Path})
    except OSError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - shown by the test that fails
        return repr(error)
    return "done"


class _EarlyThread:
    """A thread that the process has before it opens the model."""

    def __init__(self) -> None:
        self._statements: SimpleQueue[str] = SimpleQueue()
        self._outcomes: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def outcome(self, statement: str) -> str:
        self._statements.put(statement)
        return self._outcomes.get()

    def _run(self) -> None:
        while True:
            self._outcomes.put(_outcome(self._statements.get()))


def _run(self: Worker, run: Callable[[Worker], NoReturn] = Worker.run) -> NoReturn:
    self.early_thread = _EarlyThread()  # type: ignore[attr-defined]
    run(self)


def _intrude(self: Worker, request: protocol.GenerateRequest) -> None:
    statement = request.messages[-1].content
    outcomes = [_outcome(statement), self.early_thread.outcome(statement)]  # type: ignore[attr-defined]
    self._event(request.id, AnswerDelta(text=" ".join(dict.fromkeys(outcomes))))
    stats = GenerationStats(finish_reason=FinishReason.STOP)
    self._event(request.id, GenerationFinished(stats=stats))


if __name__ == "__main__":
    Worker.run, Worker._generate = _run, _intrude  # type: ignore[method-assign]
    with contextlib.suppress(KeyboardInterrupt):
        child.main()
