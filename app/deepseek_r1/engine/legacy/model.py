"""An old model in memory: its words, its computing, its choice of the next token."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from deepseek_r1.core.errors import EngineFailed, LoadStopped, ModelLoadFailed
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.detokenizer import to_utf8
from deepseek_r1.engine.legacy.library import LegacyLibrary
from deepseek_r1.formats.header import GGUF, ModelHeader
from deepseek_r1.memory.meter import process_mib

PENALTY_LAST_TOKENS = 64
MAX_SEED = 0x7FFFFFFF  # the library takes a signed number and draws one for negative ones
_LOOK_EVERY_S = 0.1

Progress = Callable[[float], bool]


class LegacyModel:
    """Owns the library's model. For one thread."""

    def __init__(
        self,
        library: LegacyLibrary,
        header: ModelHeader,
        context_length: int,
        weights_mib: float,
        on_progress: Progress,
    ) -> None:
        """Read the file into memory. Raises ModelLoadFailed, LoadStopped.

        The library tells nothing while it reads: `on_progress` hears how much of `weights_mib`
        this process has grown by. It cannot be stopped either; a stopped load is freed at once
        after its end.
        """
        self._api = library.api
        config = library.config(context_length, 0, False, False)
        kind = "gguf" if header.container == GGUF else header.architecture
        arguments = (os.fsencode(header.path), kind.encode("ascii"), config)
        self.pointer, wanted = self._create(arguments, weights_mib, on_progress)
        if self.pointer is None:
            raise ModelLoadFailed(path=str(header.path), detail=tr("nothing further"))
        if not wanted or not on_progress(1.0):
            self.close()
            raise LoadStopped
        self.vocabulary: int = self._api.ctransformers_llm_vocab_size(self.pointer)
        engine_context: int = self._api.ctransformers_llm_context_length(self.pointer)
        self.context_length = min(engine_context, context_length)

    def _create(
        self, arguments: tuple[Any, ...], weights_mib: float, on_progress: Progress
    ) -> tuple[int | None, bool]:
        """Let the library read in a thread of its own; with it, whether the model is wanted."""
        made: list[int | None] = []

        def create() -> None:
            made.append(self._api.ctransformers_llm_create(*arguments))

        before = process_mib(os.getpid())
        worker = threading.Thread(target=create, name="legacy-load", daemon=True)
        worker.start()
        wanted = True
        while worker.is_alive():
            worker.join(_LOOK_EVERY_S)
            share = (process_mib(os.getpid()) - before) / max(weights_mib, 1.0)
            wanted = wanted and on_progress(min(0.99, max(0.0, share)))
        return made[0], wanted

    def close(self) -> None:
        """Free the memory."""
        if self.pointer:
            self._api.ctransformers_llm_delete(self.pointer)
            self.pointer = None

    def tokenize(self, text: str, *, begin: bool) -> list[int]:
        """Tokens of `text`; `begin`: behind the token that begins a text, for families with one."""
        raw = to_utf8(text).replace(b"\0", b"")  # the library's texts end at a NUL
        room = (ctypes.c_int * (len(raw) + 16))()  # a token has at least a byte
        count = self._api.ctransformers_llm_tokenize(self.pointer, raw, begin, room)
        tokens: list[int] = room[:count]
        return tokens

    def piece(self, token: int) -> bytes:
        """What a token says."""
        said: bytes = self._api.ctransformers_llm_detokenize(self.pointer, token) or b""
        return said

    def is_end(self, token: int) -> bool:
        """True for the tokens that end an answer."""
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
        """The next token. The library seeds its dice at every call: give each its own seed."""
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
