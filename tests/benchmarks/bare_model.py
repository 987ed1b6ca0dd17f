"""The shortest loop over llama.cpp's functions, as a baseline for benchmarks.

It has no text, no sampling and no events: the same token is computed again and again, which costs
the same as any token.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepseek_r1.core.errors import ModelLoadFailed
from deepseek_r1.engine.llama.binding.library import library

_TOKEN = 1  # any
_MICRO_BATCH = 256


@dataclass(frozen=True, slots=True)
class BareTimes:
    """Seconds since `decode` was called, by the clock of `time.perf_counter`."""

    prefill_s: float
    decode_s: float
    first_token_at: float  # the clock after prefill


class BareModel:
    """A model as llama.cpp loads it: mapped and not repacked, or read and repacked."""

    def __init__(self, path: Path, *, mapped: bool, threads: int, context_length: int) -> None:
        """Raises ModelLoadFailed, EngineStartFailed."""
        self._library = library()
        self._api = api = self._library.api
        params = api.llama_model_default_params()
        params.n_gpu_layers = 0
        params.load_mode = api.LLAMA_LOAD_MODE_MMAP if mapped else api.LLAMA_LOAD_MODE_NONE
        params.use_extra_bufts = not mapped  # repacking would be a second copy of a mapped file
        self._model: Any = api.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise ModelLoadFailed(path=str(path), detail=self._library.log.last_error())
        shape = api.llama_context_default_params()
        shape.n_ctx, shape.n_batch, shape.n_ubatch = context_length, _MICRO_BATCH, _MICRO_BATCH
        shape.n_outputs_max = 1
        shape.n_threads = shape.n_threads_batch = threads
        self._context: Any = api.llama_init_from_model(self._model, shape)
        if not self._context:
            api.llama_model_free(self._model)
            raise ModelLoadFailed(path=str(path), detail=self._library.log.last_error())

    def decode(self, prompt_tokens: int, tokens: int) -> BareTimes:
        """Compute a prompt, then `tokens` more, one by one."""
        api = self._api
        began = time.perf_counter()
        for done in range(0, prompt_tokens, _MICRO_BATCH):
            self._compute(min(_MICRO_BATCH, prompt_tokens - done))
        first = time.perf_counter()
        one = (api.llama_token * 1)(_TOKEN)
        batch = api.llama_batch_get_one(one, 1)
        for _ in range(tokens):
            api.llama_decode(self._context, batch)
        return BareTimes(first - began, time.perf_counter() - first, first)

    def _compute(self, count: int) -> None:
        tokens = (self._api.llama_token * count)(*[_TOKEN] * count)
        self._api.llama_decode(self._context, self._api.llama_batch_get_one(tokens, count))

    def close(self) -> None:
        """Free the model and its context."""
        self._api.llama_free(self._context)
        self._api.llama_model_free(self._model)
