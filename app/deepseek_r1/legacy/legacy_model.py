"""A model of an old file in memory, through ctransformers 0.2.27; and the process that holds one.

Only the package's low-level module is used. Importing it through the package would pull in the
client of Hugging Face, and by itself it starts processes to detect the CPU's features, which are
known here. The functions are called directly: the package's own `tokenize` allocates one token a
character, where a character may become several.

`python -m deepseek_r1.legacy.legacy_model` reads and answers `LegacyCall`s.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from deepseek_r1.core.errors import (
    EngineFailed,
    LegacyEngineUnavailable,
    LoadStopped,
    ModelLoadFailed,
    R1Error,
)
from deepseek_r1.core.frames import without_surrogates
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.process_lock import lock_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.protocol.engine_names import import_low_level
from deepseek_r1.hardware import cpu
from deepseek_r1.legacy.legacy_process import LegacyCall, LegacyFile, LegacyResult, Progress
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.native.child_start import serve, start_child
from deepseek_r1.native.native_library import native

PACKAGE = "ctransformers"
PENALTY_LAST_TOKENS = 64
MAX_SEED = 0x7FFFFFFF  # the library takes a signed number and picks one for negative ones
_POLL_S = 0.1


class LegacyLibrary(NamedTuple):
    """The library's settings and functions."""

    config: Any
    api: Any


@cache
def library() -> LegacyLibrary:
    """Open the library. Raises LegacyEngineUnavailable where it is missing or does not load."""
    features = cpu().features
    build = next((each for each in ("avx2", "avx") if each in features), "basic")
    try:
        module = import_low_level(PACKAGE, "llm", PACKAGE)
        return LegacyLibrary(module.ConfigStruct, module.load_library(build))
    except (ImportError, OSError, AttributeError) as error:
        detail = str(error).splitlines()[0]
        machine = f"{platform.system()} {platform.machine()}"
        raise LegacyEngineUnavailable(machine=machine, detail=detail) from error


class LegacyModel:
    """Owns the library's model. For one thread."""

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
            raise ModelLoadFailed(path=str(file.path), detail=tr("no reason given"))
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
        """Free the memory."""
        if self.pointer:
            self._api.ctransformers_llm_delete(self.pointer)
            self.pointer = None

    def tokenize(self, text: str, *, begin: bool) -> list[int]:
        """Return the tokens of `text`; with `begin` after the token that begins a text, if any."""
        raw = (
            without_surrogates(text).encode().replace(b"\0", b"")
        )  # the library's texts end at a NUL
        buffer = (ctypes.c_int * (len(raw) + 16))()  # a token has at least a byte
        count = self._api.ctransformers_llm_tokenize(self.pointer, raw, begin, buffer)
        tokens: list[int] = buffer[:count]
        return tokens

    def piece(self, token: int) -> bytes:
        """Return the text of a token, as bytes."""
        piece: bytes = self._api.ctransformers_llm_detokenize(self.pointer, token) or b""
        return piece

    def is_end(self, token: int) -> bool:
        """Return whether a token ends the answer."""
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
