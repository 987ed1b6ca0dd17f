"""A llama.cpp context for an EAGLE-3 head: its encoder, its decoder and a small KV cache.

The encoder makes one state out of a token's features. The decoder computes pairs of a token and the
state before it; its outputs are logits and the next state. llama.cpp's graph for it does not select
rows: it outputs the first rows in place of those requested. So logits are requested for a batch of
one row only.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from deepseek_r1.core.errors import EngineFailed, ModelLoadFailed
from deepseek_r1.engine.llama.context import (
    AbortFlag,
    LlamaContext,
    check_status,
    default_context_params,
)
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.formats.eagle3 import HeadFacts
from deepseek_r1.memory.draft_costs import HEAD_BATCH
from deepseek_r1.weights.ggml.tensor_layout import typed

_FLOAT_BYTES = 4


class HeadContext:
    """Owns the `llama_context` of a head. For the computing thread."""

    def __init__(
        self,
        library: Library,
        model: LlamaModel,
        target: LlamaContext,
        facts: HeadFacts,
        *,
        cells: int,
        threads: tuple[int, int],
        abort: AbortFlag,
    ) -> None:
        """`target` is the context whose embedding is used where the head has none of its own.

        Raises ModelLoadFailed.
        """
        self._api, self._library, self._target, self._facts = library.api, library, target, facts
        self._abort = abort  # kept alive: the context points to it
        params = default_context_params(self._api, cells, HEAD_BATCH)
        params.n_threads, params.n_threads_batch = threads
        params.abort_callback = ctypes.cast(abort.function, self._api.ggml_abort_callback)
        params.abort_callback_data = abort.address
        params.ctx_other = target.pointer
        self.pointer: Any = self._api.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            detail = library.log.last_error() or "the context could not be created"
            raise ModelLoadFailed(path="", detail=detail)
        self.capacity: int = self._api.llama_n_ctx(self.pointer)
        self.used = 0  # cells
        self._memory = self._api.llama_get_memory(self.pointer)
        functions = library.functions
        flag = ctypes.c_bool
        output_states = typed(
            functions.llama_set_embeddings_nextn, None, ctypes.c_void_p, flag, flag
        )
        output_states(self.pointer, True, True)
        self._next_states = typed(
            functions.llama_get_embeddings_nextn, ctypes.c_void_p, ctypes.c_void_p
        )
        self._state_bytes = model.width * _FLOAT_BYTES
        self._states = (ctypes.c_float * (model.width * HEAD_BATCH))()
        self._tokens = (self._api.llama_token * HEAD_BATCH)()
        self._wanted = (ctypes.c_int8 * HEAD_BATCH)()  # whether each row's logits are

    def close(self) -> None:
        """Free the KV cache and the buffers."""
        if self.pointer is not None:
            self._api.llama_free(self.pointer)
            self.pointer = None

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads from the next token on."""
        self._api.llama_set_n_threads(self.pointer, threads, threads_prefill)

    def encode(self, features: int, rows: int) -> None:
        """Make the states of up to `HEAD_BATCH` rows out of the features at this address.

        Raises AbortedError, EngineFailed.
        """
        batch = self._api.llama_batch(n_tokens=rows)
        batch.embd = ctypes.cast(features, ctypes.POINTER(ctypes.c_float))
        check_status(self._api.llama_encode(self.pointer, batch), self._library)
        self._take_states(rows)

    def take_state(self) -> None:
        """Use the decoder's new state for the next token, after a `decode` with logits."""
        self._take_states(1)

    def _take_states(self, rows: int) -> None:
        states = self._next_states(self.pointer)
        if not states:
            raise EngineFailed(detail="llama.cpp gave out no states of the head")
        ctypes.memmove(self._states, states, rows * self._state_bytes)

    def decode(self, tokens: Sequence[int], *, logits: bool) -> None:
        """Append a cell for each token and the state before it; `logits` requires a single token.

        Raises AbortedError, EngineFailed.
        """
        count = len(tokens)
        if not self._facts.own_embedding:
            self._target.provide_embedding(tokens)
        self._tokens[:count] = tokens
        self._wanted[0] = logits
        batch = self._api.llama_batch(n_tokens=count)
        batch.token, batch.logits = self._tokens, self._wanted
        batch.embd = ctypes.cast(self._states, ctypes.POINTER(ctypes.c_float))
        check_status(self._api.llama_decode(self.pointer, batch), self._library)
        self.used += count

    def logits(self) -> Any:
        """Return the logits of the token that was computed last."""
        return self._api.llama_get_logits_ith(self.pointer, 0)

    def truncate(self, length: int) -> None:
        """Keep the first `length` cells."""
        if length < self.used:
            self._api.llama_memory_seq_rm(self._memory, 0, length, -1)
            self.used = length

    def shift(self, dropped: int) -> bool:
        """Drop the first `dropped` cells. Returns False where all had to be dropped."""
        if dropped >= self.used or not self._api.llama_memory_can_shift(self._memory):
            self.truncate(0)
            return False
        self._api.llama_memory_seq_rm(self._memory, 0, 0, dropped)
        self._api.llama_memory_seq_add(self._memory, 0, dropped, -1, -dropped)
        self.used -= dropped
        return True
