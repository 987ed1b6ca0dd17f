"""A model of an old file, through ctransformers 0.2.27: in this process, or in one of its own.

Only the package's low-level module is used. Importing it through the package would pull in the
client of Hugging Face, and by itself it starts processes to detect the CPU's features, which are
known here. The functions are called directly: the package's own `tokenize` allocates one token a
character, where a character may become several.

The engine trusts what it reads, and checks cannot foresee everything that a file may hold. So
`LegacyModelProcess` has the methods of `LegacyModel`; each is one request to a child process, whose
crash does not end the caller's program: `python -m deepseek_r1.legacy.legacy_model`.
"""

import ctypes
import os
import platform
import threading
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import TypeAdapter

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildFailure
from deepseek_r1.core.errors import (
    EngineDied,
    EngineFailed,
    LegacyEngineUnavailable,
    LoadStopped,
    ModelLoadFailed,
    OldEngineUsedUp,
    R1Error,
    SystemTooTight,
)
from deepseek_r1.core.frames import PipeMessage, one_of, without_surrogates
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.process_lock import lock_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.interface import import_low_level
from deepseek_r1.formats.header import GGUF, ModelHeader
from deepseek_r1.hardware import cpu
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.native.child_start import serve, start_child
from deepseek_r1.native.native_library import native

PACKAGE = "ctransformers"
PENALTY_LAST_TOKENS = 64
MAX_SEED = 0x7FFFFFFF  # the library takes a signed number and picks one for negative ones
_MOST_LOADS = 31  # of 64 contexts, Falcon keeps two
_POLL_S = 0.1

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


@cache
def library() -> tuple[Any, Any]:
    """Open the library: the class of its settings, and its functions.

    Raises LegacyEngineUnavailable where it is missing or does not load.
    """
    features = cpu().features
    build = next((each for each in ("avx2", "avx") if each in features), "basic")
    try:
        module = import_low_level(PACKAGE, "llm", PACKAGE)
        return module.ConfigStruct, module.load_library(build)
    except (ImportError, OSError, AttributeError) as error:
        detail = str(error).splitlines()[0]
        machine = f"{platform.system()} {platform.machine()}"
        raise LegacyEngineUnavailable(machine=machine, detail=detail) from error


class LegacyModel:
    """Owns the library's model. For one thread."""

    _loads: ClassVar[int] = 0  # by this process

    def __init__(self, file: LegacyFile, weights_mib: float, on_progress: Progress) -> None:
        """Read the file. Raises ModelLoadFailed, LoadStopped, LegacyEngineUnavailable.

        The library reports no progress, so `on_progress` gets the growth of this process relative
        to `weights_mib`. The load cannot be stopped either: a stopped load is freed when it has
        ended.
        """
        make_config, self._api = library()
        config = make_config(file.context_length, 0, False, False)
        arguments = (os.fsencode(file.path), file.family.encode("ascii"), config)
        self.process_id = os.getpid()
        self.pointer, keep = self._create(arguments, weights_mib, on_progress)
        if self.pointer is None:
            if self._loads >= _MOST_LOADS:
                raise OldEngineUsedUp(path=str(file.path), loads=self._loads)
            raise ModelLoadFailed(path=str(file.path), detail=tr("no reason given"))
        LegacyModel._loads += 1
        if not keep or not on_progress(1.0):
            self.close()
            raise LoadStopped
        self.vocabulary: int = self._api.ctransformers_llm_vocab_size(self.pointer)
        engine_context: int = self._api.ctransformers_llm_context_length(self.pointer)
        self.context_length = min(engine_context, file.context_length)

    def _create(
        self, arguments: tuple[Any, ...], weights_mib: float, on_progress: Progress
    ) -> tuple[int | None, bool]:
        """Load in a thread. Returns the pointer, and whether the model is still wanted."""
        made: list[int | None] = []

        def create() -> None:
            made.append(self._api.ctransformers_llm_create(*arguments))

        before = process_mib(os.getpid())
        worker = threading.Thread(target=create, name="legacy-load", daemon=True)
        worker.start()
        keep = True
        while worker.is_alive():
            worker.join(_POLL_S)
            share = (process_mib(os.getpid()) - before) / max(weights_mib, 1.0)
            keep = keep and on_progress(min(0.99, max(0.0, share)))
        return made[0], keep

    def close(self) -> None:
        if self.pointer:
            self._api.ctransformers_llm_delete(self.pointer)
            self.pointer = None

    def tokenize(self, text: str, *, begin: bool) -> list[int]:
        """Return the tokens of `text`; with `begin` after the token that begins a text, if any."""
        # The library's texts end at a NUL.
        raw = without_surrogates(text).encode().replace(b"\0", b"")
        buffer = (ctypes.c_int * (len(raw) + 16))()  # a token has at least a byte
        count = self._api.ctransformers_llm_tokenize(self.pointer, raw, begin, buffer)
        tokens: list[int] = buffer[:count]
        return tokens

    def piece(self, token: int) -> bytes:
        piece: bytes = self._api.ctransformers_llm_detokenize(self.pointer, token) or b""
        return piece

    def is_end(self, token: int) -> bool:
        return bool(self._api.ctransformers_llm_is_eos_token(self.pointer, token))

    def compute(self, tokens: Sequence[int], past: int, threads: int) -> None:
        """Compute a few tokens that follow `past` others. Raises EngineFailed."""
        count = len(tokens)
        given = (ctypes.c_int * count)(*tokens)
        done = self._api.ctransformers_llm_batch_eval(
            self.pointer, given, count, past, count, threads
        )
        if not done:
            raise EngineFailed(detail=tr("a computation failed"))

    def sample(self, sampling: SamplingSettings, recent: Sequence[int], seed: int) -> int:
        """Sample the next token. The library reseeds at every call, so each needs its own seed."""
        greedy = sampling.temperature == 0.0
        last = list(recent[-PENALTY_LAST_TOKENS:]) if sampling.repeat_penalty > 1.0 else []
        token: int = self._api.ctransformers_llm_sample(
            self.pointer,
            (ctypes.c_int * len(last))(*last),
            len(last),
            1 if greedy else min(sampling.top_k or self.vocabulary, self.vocabulary),
            1.0 if greedy else sampling.top_p,
            1.0 if greedy else sampling.temperature,
            sampling.repeat_penalty,
            seed % (MAX_SEED + 1),
        )
        return token


# ---- in a process of its own ---------------------------------------------------------------------


class LegacyCall(PipeMessage):
    """A method of `LegacyModel` and its arguments; "load" comes first."""

    method: Literal["load", "tokenize", "compute", "sample", "piece"]
    arguments: list[Any]


class LegacyResult(PipeMessage):
    """The value that the method returned."""

    kind: Literal["result"] = "result"
    value: Any = None


class LegacyModelProcess:
    """Owns the process that holds the model. For one thread."""

    def __init__(self, file: LegacyFile, weights_mib: float, on_progress: Progress) -> None:
        """Start the process and let it read the file; see `LegacyModel`.

        Raises ModelLoadFailed, LoadStopped, EngineStartFailed, EngineDied.
        """
        try:
            self._child = ChildCall(ChildKind.OLD_MODEL, one_of(LegacyResult | ChildFailure))
        except OSError as error:
            raise SystemTooTight(detail=str(error)) from error
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
        self._child.close()

    def tokenize(self, text: str, *, begin: bool) -> list[int]:
        """Return the tokens of `text`; with `begin` after the token that begins a text, if any."""
        return [int(token) for token in self._call("tokenize", without_surrogates(text), begin)]

    def piece(self, token: int) -> bytes:
        """Return the text of a token, as bytes."""
        return self._piece(token)[0]

    def is_end(self, token: int) -> bool:
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
        if not self._child.running:
            raise EngineDied(how="", detail=tr("It left no message."))
        call = LegacyCall(method=method, arguments=list(arguments))
        try:
            return self._child.ask(call, on_wait=on_wait).value
        except ChildDied as died:
            detail = tr("It reached a state from which it cannot go on.")
            raise EngineDied(how=died.how, detail=detail) from died


def main() -> None:
    """Serve the owner until it closes the pipe."""
    model: LegacyModel | None = None

    def answer(call: LegacyCall) -> LegacyResult:
        nonlocal model
        if call.method == "load":
            model = _load(*call.arguments)
            return LegacyResult(value=[model.vocabulary, model.context_length])
        assert model is not None  # noqa: S101 - the owner loads first
        return LegacyResult(value=_serve(model, call))

    serve(start_child(ChildKind.OLD_MODEL), TypeAdapter(LegacyCall), answer, _failure)


def _failure(_call: LegacyCall, error: Exception) -> R1Error:
    return EngineFailed(detail=f"{type(error).__name__}: {error}"[:400])


def _load(path: str, family: str, context_length: int) -> LegacyModel:
    lock_files([Path(path)], [], native().restrict_threads)
    return LegacyModel(LegacyFile(Path(path), family, context_length), 0.0, lambda _share: True)


def _serve(model: LegacyModel, call: LegacyCall) -> Any:
    match call.method, call.arguments:
        case "tokenize", [text, begin]:
            return model.tokenize(text, begin=begin)
        case "compute", [tokens, past, threads]:
            return model.compute(tokens, past, threads)
        case "sample", [sampling, recent, seed]:
            return model.sample(SamplingSettings.model_validate(sampling), recent, seed)
        case "piece", [token]:
            return [model.piece(token).hex(), model.is_end(token)]
    raise EngineFailed(detail=f"unknown call {call.method}")


if __name__ == "__main__":
    main()
