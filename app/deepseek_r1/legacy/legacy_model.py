"""A model of an old file in memory: its vocabulary, computation and sampling."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deepseek_r1.core.errors import EngineFailed, LoadStopped, ModelLoadFailed
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.output.detokenizer import to_utf8
from deepseek_r1.formats.header import GGUF, ModelHeader
from deepseek_r1.legacy.legacy_library import LegacyLibrary
from deepseek_r1.memory.meter import process_mib

PENALTY_LAST_TOKENS = 64
MAX_SEED = 0x7FFFFFFF  # the library takes a signed number and picks one for negative ones
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


class LegacyModel:
    """Owns the library's model. For one thread."""

    def __init__(
        self,
        library: LegacyLibrary,
        file: LegacyFile,
        weights_mib: float,
        on_progress: Progress,
    ) -> None:
        """Read the file into memory. Raises ModelLoadFailed, LoadStopped.

        The library reports no progress, so `on_progress` gets the growth of this process relative
        to `weights_mib`. The load cannot be stopped either: a stopped load is freed when it has
        ended.
        """
        self._api = library.api
        config = library.config(file.context_length, 0, False, False)
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
        raw = to_utf8(text).replace(b"\0", b"")  # the library's texts end at a NUL
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
