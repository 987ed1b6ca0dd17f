"""A model of an old file in a child process: the engine's crash does not end the caller's program.

The engine for old files trusts what it reads, and checks cannot foresee everything that a file may
hold. `LegacyModelProcess` has the methods of `LegacyModel`; each is one request to the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildFailure
from deepseek_r1.core.errors import EngineDied, EngineStartFailed, LoadStopped
from deepseek_r1.core.frames import without_surrogates
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.formats.header import GGUF, ModelHeader
from deepseek_r1.memory.meter import process_mib

Progress = Callable[[float], bool]


class LegacyFile(NamedTuple):
    """A file to read, the library's name for its kind of model, and the context in tokens."""

    path: Path
    family: str
    context_length: int


def legacy_file(header: ModelHeader, context_length: int) -> LegacyFile:
    """Return how the library is to read the file."""
    family = "gguf" if header.container == GGUF else header.architecture
    return LegacyFile(header.path, family, context_length)


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


legacy_reply_adapter: TypeAdapter[LegacyResult | ChildFailure] = TypeAdapter(
    Annotated[LegacyResult | ChildFailure, Field(discriminator="kind")]
)


class LegacyModelProcess:
    """Owns the process that holds the model. For one thread."""

    def __init__(self, file: LegacyFile, weights_mib: float, on_progress: Progress) -> None:
        """Start the process and let it read the file; see `LegacyModel`.

        Raises ModelLoadFailed, LoadStopped, EngineStartFailed, EngineDied.
        """
        try:
            self._child = ChildCall(ChildKind.OLD_MODEL, legacy_reply_adapter)
        except OSError as error:
            raise EngineStartFailed(detail=str(error)) from error
        self.process_id = self._child.pid

        def on_wait(_waited_s: float) -> None:
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
        self._child.close()

    def tokenize(self, text: str, *, begin: bool) -> list[int]:
        """Return the tokens of `text`; with `begin` after the token that begins a text, if any."""
        return [int(token) for token in self._call("tokenize", without_surrogates(text), begin)]

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

    def _call(self, method: Any, *arguments: Any, on_wait: Any = lambda _waited_s: None) -> Any:
        """Send a request and wait for its result."""
        if not self._child.running:
            raise EngineDied(how="", detail=tr("It left no message."))
        try:
            call = LegacyCall(method=method, arguments=list(arguments))
            return self._child.ask(call, on_wait=on_wait).value
        except ChildDied as died:
            detail = tr("It met a state it could not go on from.")
            raise EngineDied(how=died.how, detail=detail) from died
