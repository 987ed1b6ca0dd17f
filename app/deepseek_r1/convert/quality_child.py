"""Measuring happens in a process of its own, for a model's file is foreign: the owner's side."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from pydantic import ValidationError

from deepseek_r1.convert.quality_messages import (
    Collect,
    Collected,
    Evaluate,
    Failed,
    Measurement,
    Progress,
    reply_adapter,
)
from deepseek_r1.core.errors import EngineDied, ProtocolBroken
from deepseek_r1.core.words import tr

CHILD_ARGUMENT: Final = "--measure-model"  # a bundle starts itself with it
_LINE_BYTES: Final = 1 << 20
_TAIL_BYTES: Final = 2_000

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """How the process is started: with which environment and options of Popen."""

    environment: Mapping[str, str]
    options: Mapping[str, object]

    @property
    def command(self) -> list[str]:
        """Its command line, in a bundle, a wheel or a checkout."""
        if getattr(sys, "frozen", False):
            return [sys.executable, CHILD_ARGUMENT]
        return [sys.executable, "-P", "-X", "utf8", "-m", "deepseek_r1.convert.quality_worker"]


def ask(
    request: Evaluate | Collect, launch: Launch, on_progress: OnProgress
) -> Measurement | Collected:
    """Start the process, ask one thing, and wait for its answer.

    Raises what the process reports, EngineDied where it ends without an answer, ProtocolBroken.
    The process ends with this call, whatever ends it.
    """
    process = subprocess.Popen(
        launch.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(launch.environment),
        **launch.options,  # type: ignore[call-overload]
    )
    tail = _Tail(cast("BinaryIO", process.stderr))
    try:
        try:
            process.stdin.write(request.model_dump_json().encode())
            process.stdin.close()
        except BrokenPipeError:
            pass  # how it ended says more
        answer = _answer(cast("BinaryIO", process.stdout), on_progress)
        if answer is None:
            process.wait()
            raise EngineDied(how=_how(process.returncode), detail=tail.text())
    finally:
        process.kill()
        process.wait()
        tail.thread.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
    if isinstance(answer, Failed):
        raise answer.report.error
    return answer


def _answer(pipe: BinaryIO, on_progress: OnProgress) -> Measurement | Collected | Failed | None:
    """The first message that is no progress; None where the stream ends before."""
    while line := pipe.readline(_LINE_BYTES):
        try:
            reply = reply_adapter.validate_json(line)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]["type"]
            raise ProtocolBroken(
                detail=tr("Its answer is not valid: {fault}.", fault=fault)
            ) from None
        if not isinstance(reply, Progress):
            return reply
        on_progress(reply.done, reply.total)
    return None


class _Tail:
    """Keeps the end of what the process says, so that it never waits for a reader."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe, self._kept = pipe, b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while part := self._pipe.read(512):
            self._kept = (self._kept + part)[-_TAIL_BYTES:]

    def text(self) -> str:
        self.thread.join()
        return self._kept.decode("utf-8", "replace").strip()[-400:]


def _how(returncode: int) -> str:
    if returncode < 0:
        return tr("signal {number}", number=-returncode)
    return tr("exit code {number}", number=returncode)


__all__: Sequence[str] = ["CHILD_ARGUMENT", "Launch", "OnProgress", "ask"]
