"""Evaluates a model: computes the logits of every position instead of the last one only."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.errors import EngineFailed, ModelLoadFailed
from deepseek_r1.engine.llama.binding.context import default_context_params
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.formats.gguf import ModelHeader

Floats = npt.NDArray[np.float32]


class Evaluator:
    """Computes one text at a time, in pieces. For one thread.

    `window` and `piece` are in tokens: the context's length, and how much is computed at once. The
    logits of a piece take piece x vocabulary x 4 bytes. `on_node`, the address of a
    `ggml_backend_sched_eval_callback`, gets every node of the graph; 0 for none.
    """

    def __init__(
        self, header: ModelHeader, window: int, piece: int, threads: int, on_node: int = 0
    ) -> None:
        """Load the model. Raises ModelLoadFailed, EngineStartFailed, ArchitectureUnknown."""
        opened = library()
        self._api = opened.api
        self._log = opened.log
        self.piece = piece
        self.model = LlamaModel(opened, header.parts, lambda _fraction: True)
        params = default_context_params(self._api, window, piece)
        params.n_threads = params.n_threads_batch = threads
        if on_node:
            params.cb_eval = ctypes.cast(on_node, self._api.ggml_backend_sched_eval_callback)
        self._pointer: Any = self._api.llama_init_from_model(self.model.pointer, params)
        if not self._pointer:
            self.model.close()
            detail = self._log.last_error() or "the context could not be created"
            raise ModelLoadFailed(path=str(header.path), detail=detail)
        self._batch = self._api.llama_batch_init(piece, 0, 1)
        self._position = 0

    def close(self) -> None:
        """Free the model and its context."""
        if self._pointer is not None:
            self._api.llama_batch_free(self._batch)
            self._api.llama_free(self._pointer)
            self._pointer = None
            self.model.close()

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def begin(self) -> None:
        """Clear the context: the next piece begins a text."""
        self._api.llama_memory_clear(self._api.llama_get_memory(self._pointer), False)
        self._position = 0

    def compute(self, tokens: Sequence[int], *, every: bool = True) -> None:
        """Append at most `piece` tokens. With `every` each gets logits, otherwise only the last.

        Raises EngineFailed.
        """
        batch, count = self._batch, len(tokens)
        batch.n_tokens = count
        for n, token in enumerate(tokens):
            batch.token[n], batch.pos[n] = token, self._position + n
            batch.n_seq_id[n], batch.seq_id[n][0] = 1, 0
            batch.logits[n] = every or n == count - 1
        status = self._api.llama_decode(self._pointer, batch)
        if status:
            raise EngineFailed(detail=self._log.last_error() or f"llama_decode returned {status}")
        self._position += count

    def logits(self, count: int) -> Floats:
        """Return the last `count` computed rows, of shape (count, vocabulary).

        `compute` overwrites them.
        """
        pointer = self._api.llama_get_logits(self._pointer)
        return np.ctypeslib.as_array(pointer, shape=(count, self.model.vocabulary))
