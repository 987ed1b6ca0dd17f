"""What flows into a model's matrices and out of its blocks, seen while it computes.

llama.cpp shows every node of its graph to a callback; a node that multiplies by a weight of the
file has that weight as its first source and the activations as its second. Blocks are recognised
by the names llama.cpp gives their results, `l_out-N`; where it gives none, none is seen.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.errors import EngineStartFailed, StreamingUnavailable
from deepseek_r1.engine.llama.library import library
from deepseek_r1.weights.ggml import TYPE_I32, Ggml, word_at

Floats = npt.NDArray[np.float32]
# Told of the weight's name and the rows that it multiplies, shape (rows, columns); for a mixture
# also of the expert. The rows are valid during the call only.
OnInput = Callable[[str, Floats, int], None]
OnBlock = Callable[[int, Floats], None]

_BLOCK_RESULT: Final = re.compile(r"l_out-(\d+)")
_TYPE_F32: Final = 0
_WORD: Final = 8
_EvalCallback = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_size_t, ctypes.c_bool, ctypes.c_void_p)


class Watcher:
    """Tells of the inputs of the matrices `watched` and, with `on_block`, of each block's result.

    `watched` has a matrix's number of columns by its name. Errors of the listeners are kept in
    `failure`, because none can cross llama.cpp.
    """

    def __init__(
        self, watched: dict[str, int], on_input: OnInput, on_block: OnBlock | None = None
    ) -> None:
        """Raises EngineStartFailed where ggml's structures are not as expected."""
        try:
            self._ggml = Ggml(library().api._lib)
        except StreamingUnavailable as error:
            raise EngineStartFailed(detail=str(error.facts["detail"])) from error
        self._watched, self._on_input, self._on_block = watched, on_input, on_block
        self._callback = _EvalCallback(self._on_node)
        self.failure: Exception | None = None

    @property
    def address(self) -> int:
        """What the context's `cb_eval` has to be."""
        return ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def _on_node(self, node: int, ask: bool, _user_data: int | None) -> bool:
        if self.failure is not None:
            return not ask  # nothing more is looked at
        try:
            return self._wants(node) if ask else self._take(node)
        except Exception as error:  # noqa: BLE001 - must not cross C; whoever watches raises it
            self.failure = error
            return not ask

    def _weight(self, node: int) -> str:
        """The name of the watched weight that the node multiplies by; empty for none."""
        source = word_at(node + self._ggml.fields.sources)
        name = self._ggml.name(source) if source else ""
        if name not in self._watched:
            return ""
        inputs = word_at(node + self._ggml.fields.sources + _WORD)
        # The embedding table is also looked up by row; only products have floats to multiply.
        return name if inputs and word_at(inputs) & 0xFFFFFFFF == _TYPE_F32 else ""

    def _wants(self, node: int) -> bool:
        if self._on_block is not None and _BLOCK_RESULT.fullmatch(self._ggml.name(node)):
            return True
        return bool(self._weight(node))

    def _take(self, node: int) -> bool:
        found = _BLOCK_RESULT.fullmatch(self._ggml.name(node))
        if found and self._on_block is not None:
            values = self._floats(node)
            self._on_block(int(found[1]), values.reshape(-1, values.shape[-1]))
        name = self._weight(node)
        if not name:
            return True
        sources = node + self._ggml.fields.sources
        values = self._floats(word_at(sources + _WORD))
        if values.shape[-1] != self._watched[name]:
            raise EngineStartFailed(detail=f"{name} multiplies {values.shape[-1]} columns")
        chosen = word_at(sources + 2 * _WORD)
        if chosen and word_at(chosen) & 0xFFFFFFFF == TYPE_I32:
            self._take_experts(name, values, chosen)
        else:
            self._on_input(name, values.reshape(-1, values.shape[-1]), 0)
        return True

    def _take_experts(self, name: str, values: Floats, chosen: int) -> None:
        """Rows (tokens, used or 1, columns), each multiplied by the expert that was chosen."""
        experts = self._viewed(chosen, np.int32)[0, 0]
        rows = np.broadcast_to(values[0], (*experts.shape, values.shape[-1]))
        for expert in np.unique(experts):
            self._on_input(name, rows[experts == expert], int(expert))

    def _floats(self, tensor: int) -> Floats:
        if word_at(tensor) & 0xFFFFFFFF != _TYPE_F32:
            raise EngineStartFailed(detail=f"{self._ggml.name(tensor)} is not made of floats")
        floats: Floats = self._viewed(tensor, np.float32)
        return floats

    def _viewed(self, tensor: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
        """The tensor's memory as an array of four dimensions, the row last; nothing is copied."""
        fields = self._ggml.fields
        shape = [word_at(tensor + fields.extent + n * _WORD) for n in range(4)]
        strides = [word_at(tensor + fields.strides + n * _WORD) for n in range(4)]
        nbytes = self._ggml.nbytes(tensor)
        raw = (ctypes.c_char * nbytes).from_address(word_at(tensor + fields.data))
        return np.ndarray(shape[::-1], dtype, buffer=raw, strides=strides[::-1])
