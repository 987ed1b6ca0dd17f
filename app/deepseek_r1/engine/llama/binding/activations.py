"""Observes the inputs of a model's matrices and the outputs of its blocks during computation.

llama.cpp passes every node of its graph to a callback. A node that multiplies by a weight of the
file has that weight as its first source and the activations as its second. Blocks are recognized by
the names llama.cpp gives their results, `l_out-N`; where it gives none, none is observed.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.errors import EngineStartFailed, StreamingUnavailable
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.weights.ggml.tensor_layout import TYPE_I32, Ggml, word_at

Floats = npt.NDArray[np.float32]
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
        self.failure: Exception | None = None

    @property
    def address(self) -> int:
        """The value for the context's `cb_eval`."""
        return ctypes.cast(self._callback, ctypes.c_void_p).value or 0

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
