"""Evaluates a model: the logits of every position, the inputs of matrices, the results of blocks.

llama.cpp passes every node of its graph to a callback. A node that multiplies by a weight of the
file has that weight as its first source and the activations as its second. Blocks are recognized by
the names llama.cpp gives their results, `l_out-N`; where it gives none, none is observed.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.errors import (
    EngineFailed,
    EngineStartFailed,
    ModelLoadFailed,
    StreamingUnavailable,
)
from deepseek_r1.engine.llama.binding.context import default_context_params
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.ggml.tensor_layout import TYPE_I32, Ggml, address_of, word_at

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


# Called with the weight's name, the rows that it multiplies, of shape (rows, columns), and the
# expert, which is 0 without a mixture. The rows are valid during the call only.
OnInput = Callable[[str, Floats, int], None]
OnBlock = Callable[[int, Floats], None]

_BLOCK_RESULT: Final = re.compile(r"l_out-(\d+)")
_TYPE_F32: Final = 0
_WORD: Final = 8
_EvalCallback = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_size_t, ctypes.c_bool, ctypes.c_void_p)


class ActivationObserver:
    """Reports the inputs of some matrices and, with `on_block`, the result of each block.

    `columns` has a matrix's number of columns by its name. Exceptions of the callbacks are kept in
    `failure`, because none can cross llama.cpp.
    """

    def __init__(
        self, columns: dict[str, int], on_input: OnInput, on_block: OnBlock | None = None
    ) -> None:
        """Raises EngineStartFailed where ggml's structures are not as expected."""
        try:
            self._ggml = Ggml(library().functions)
        except StreamingUnavailable as error:
            raise EngineStartFailed(detail=str(error.facts["detail"])) from error
        self._columns, self._on_input, self._on_block = columns, on_input, on_block
        self._callback = _EvalCallback(self._on_node)
        self.address = address_of(self._callback)  # the value for the context's `cb_eval`
        self.failure: Exception | None = None

    def _on_node(self, node: int, ask: bool, _user_data: int | None) -> bool:
        if self.failure is not None:
            return not ask  # nothing more is observed
        try:
            return self._is_observed(node) if ask else self._observe(node)
        except Exception as error:  # noqa: BLE001 - must not cross C; the owner raises it
            self.failure = error
            return not ask

    def _weight(self, node: int) -> str:
        """Return the name of the observed weight that the node multiplies by; empty for none."""
        source = word_at(node + self._ggml.fields.sources)
        name = self._ggml.name(source) if source else ""
        if name not in self._columns:
            return ""
        inputs = word_at(node + self._ggml.fields.sources + _WORD)
        # The embedding table is also looked up by row; only products have floats to multiply.
        return name if inputs and word_at(inputs) & 0xFFFFFFFF == _TYPE_F32 else ""

    def _is_observed(self, node: int) -> bool:
        if self._on_block is not None and _BLOCK_RESULT.fullmatch(self._ggml.name(node)):
            return True
        return bool(self._weight(node))

    def _observe(self, node: int) -> bool:
        found = _BLOCK_RESULT.fullmatch(self._ggml.name(node))
        if found and self._on_block is not None:
            values = self._floats(node)
            self._on_block(int(found[1]), values.reshape(-1, values.shape[-1]))
        name = self._weight(node)
        if not name:
            return True
        sources = node + self._ggml.fields.sources
        values = self._floats(word_at(sources + _WORD))
        if values.shape[-1] != self._columns[name]:
            raise EngineStartFailed(detail=f"{name} multiplies {values.shape[-1]} columns")
        chosen = word_at(sources + 2 * _WORD)
        if chosen and word_at(chosen) & 0xFFFFFFFF == TYPE_I32:
            self._observe_experts(name, values, chosen)
        else:
            self._on_input(name, values.reshape(-1, values.shape[-1]), 0)
        return True

    def _observe_experts(self, name: str, values: Floats, chosen: int) -> None:
        """Report rows (tokens, used or 1, columns), each with the expert that was chosen for it."""
        experts = self._as_array(chosen, np.int32)[0, 0]
        rows = np.broadcast_to(values[0], (*experts.shape, values.shape[-1]))
        for expert in np.unique(experts):
            self._on_input(name, rows[experts == expert], int(expert))

    def _floats(self, tensor: int) -> Floats:
        if word_at(tensor) & 0xFFFFFFFF != _TYPE_F32:
            raise EngineStartFailed(detail=f"{self._ggml.name(tensor)} is not made of floats")
        floats: Floats = self._as_array(tensor, np.float32)
        return floats

    def _as_array(self, tensor: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
        """View the tensor's memory as an array of four dimensions, the row last."""
        fields = self._ggml.fields
        shape = [word_at(tensor + fields.extent + n * _WORD) for n in range(4)]
        strides = [word_at(tensor + fields.strides + n * _WORD) for n in range(4)]
        nbytes = self._ggml.nbytes(tensor)
        raw = (ctypes.c_char * nbytes).from_address(word_at(tensor + fields.data))
        return np.ndarray(shape[::-1], dtype, buffer=raw, strides=strides[::-1])
