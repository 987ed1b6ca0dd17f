"""A model of an old file in a child process: the engine's crash does not end the caller's program.

The engine for old files trusts what it reads, and checks cannot foresee everything that a file may
hold. `LegacyModelProcess` has the methods of `LegacyModel`; each is one request to the process.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

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
from deepseek_r1.core.errors import EngineDied, EngineStartFailed, ErrorReport, LoadStopped, R1Error
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.detokenizer import to_utf8
from deepseek_r1.legacy.legacy_model import LegacyFile, Progress
from deepseek_r1.memory.meter import process_mib

LEGACY_ARGUMENT = "--legacy-model"  # a bundle starts itself with it
LEGACY_MODULE = "deepseek_r1.legacy.legacy_worker"
_POLL_S = 0.1


class _LegacyFrame(BaseModel):
    model_config = ConfigDict(frozen=True)


class LegacyCall(_LegacyFrame):
    """A method of `LegacyModel` and its arguments; "load" comes first."""

    method: Literal["load", "tokenize", "compute", "sample", "piece"]
    arguments: list[Any]


class LegacyResult(_LegacyFrame):
    """The value that the method returned."""

    kind: Literal["result"] = "result"
    value: Any = None


class LegacyFailure(_LegacyFrame):
    """The error of ours that it raised."""

    kind: Literal["failure"] = "failure"
    report: ErrorReport


legacy_reply_adapter: TypeAdapter[LegacyResult | LegacyFailure] = TypeAdapter(
    Annotated[LegacyResult | LegacyFailure, Field(discriminator="kind")]
)


class LegacyModelProcess:
    """Owns the process that holds the model. For one thread."""

    def __init__(
        self,
        file: LegacyFile,
        weights_mib: float,
        on_progress: Progress,
    ) -> None:
        """Start the process and let it read the file; see `LegacyModel`.

        Raises ModelLoadFailed, LoadStopped, EngineStartFailed, EngineDied.
        """
        self._events: queue.SimpleQueue[ProcessEvent] = queue.SimpleQueue()
        try:
            self._process: ChildProcess | None = ChildProcess(
                module_command(LEGACY_MODULE, LEGACY_ARGUMENT),
                child_environment(),
                legacy_reply_adapter,
                self._events.put,
                background_options(),
            )
        except OSError as error:
            raise EngineStartFailed(detail=str(error)) from error
        self.process_id = self._process.pid

        def on_wait() -> None:
            share = process_mib(self.process_id) / max(weights_mib, 1.0)
            if not on_progress(min(0.99, share)):
                raise LoadStopped

        loaded = self._call(
            "load", str(file.path), file.family, file.context_length, on_wait=on_wait
        )
        self.vocabulary, self.context_length = int(loaded[0]), int(loaded[1])
        self._piece = lru_cache(4096)(self._ask_piece)
        if not on_progress(1.0):
            self.close()
            raise LoadStopped

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            while not isinstance(self._events.get(), ProcessExited):
                pass
            process.close()

    def tokenize(self, text: str, *, begin: bool) -> list[int]:
        """Return the tokens of `text`; with `begin` after the token that begins a text, if any."""
        return [int(token) for token in self._call("tokenize", _as_text(to_utf8(text)), begin)]

    def piece(self, token: int) -> bytes:
        """Return the text of a token, as bytes."""
        return self._piece(token)[0]

    def is_end(self, token: int) -> bool:
        """Return whether a token ends the answer."""
        return self._piece(token)[1]

    def compute(self, tokens: Sequence[int], past: int, threads: int) -> None:
        """Compute a few tokens that follow `past` others. Raises EngineFailed, EngineDied."""
        self._call("compute", list(tokens), past, threads)

    def sample(self, sampling: SamplingSettings, recent: Sequence[int], seed: int) -> int:
        """Sample the next token; see `LegacyModel.sample`."""
        return int(self._call("sample", sampling.model_dump(mode="json"), list(recent[-64:]), seed))

    def _ask_piece(self, token: int) -> tuple[bytes, bool]:
        text, is_end = self._call("piece", token)
        return bytes.fromhex(text), bool(is_end)

    def _call(self, method: Any, *arguments: Any, on_wait: Any = lambda: None) -> Any:
        """Send a request and wait for its result. The process does not outlive an exception."""
        if self._process is None:
            raise EngineDied(how="", detail=tr("It left no message."))
        request = LegacyCall(method=method, arguments=list(arguments))
        self._process.send(frames.pack(request, frames.TO_CHILD_CAP))
        try:
            reply = self._reply(self._process, on_wait)
        except BaseException:  # Ctrl-C too: its late reply would be taken for that to the next call
            self.close()
            raise
        if isinstance(reply, LegacyFailure):
            raise reply.report.error
        return reply.value

    def _reply(self, process: ChildProcess, on_wait: Any) -> LegacyResult | LegacyFailure:
        while True:
            try:
                event = self._events.get(timeout=_POLL_S)
            except queue.Empty:
                on_wait()
                continue
            match event:
                case FrameReceived(reply=LegacyResult() | LegacyFailure() as reply):
                    process.frame_handled()
                    return reply
                case StreamBroken(error=error):
                    raise error
                case ProcessExited(returncode=returncode):
                    self._process = None
                    process.close()
                    raise _died(returncode)


def _as_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _died(returncode: int) -> R1Error:
    how = signal_name(returncode) if returncode < 0 else str(returncode)
    return EngineDied(how=how, detail=tr("It met a state it could not go on from."))
