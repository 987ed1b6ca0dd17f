"""Copies the features that a head drafts from: the inputs of some layers of the target."""

from __future__ import annotations

import ctypes

from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.exported_functions import CPP_NAMES
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.formats.eagle3 import HeadFacts
from deepseek_r1.memory.draft_costs import FEATURE_ROWS
from deepseek_r1.weights.ggml.tensor_layout import typed

_FLOAT_BYTES = 4


def gives_features(library: Library) -> bool:
    """Return whether this build of llama.cpp exports the functions that features need."""
    return all(hasattr(library.functions, name) for name in CPP_NAMES)


class TargetFeatures:
    """Copies rows of the inputs of a context's layers. For the computing thread.

    llama.cpp keeps these inputs, or the context's `LayerOutputs` does for the other families. Each
    computation overwrites them. A row here holds the inputs of all the head's layers, one after
    the other, as its encoder reads them: `layers` x `target_width` floats.
    """

    def __init__(self, library: Library, target: LlamaContext, facts: HeadFacts) -> None:
        """The target has to have the layers of `facts`; `gives_features` has to be true."""
        functions, layer = library.functions, (ctypes.c_void_p, ctypes.c_uint32)
        self._set_kept = typed(
            functions.llama_set_embeddings_layer_inp, None, *layer, ctypes.c_bool
        )
        self._input_of = typed(functions.llama_get_embeddings_layer_inp, ctypes.c_void_p, *layer)
        self._target, self._layers = target, facts.layers
        self._part_bytes = facts.target_width * _FLOAT_BYTES
        self._row_bytes = len(facts.layers) * self._part_bytes
        self._rows = ctypes.create_string_buffer(FEATURE_ROWS * self._row_bytes)
        self._inputs: list[int] = []  # of the last computation, by layer
        if target.layer_outputs is None:
            self._keep_inputs(True)

    def _keep_inputs(self, value: bool) -> None:
        for layer in self._layers:
            self._set_kept(self._target.pointer, layer, value)
        self._target.on_graph_changed()

    def close(self) -> None:
        """Stop keeping the inputs, and release their memory."""
        if self._target.pointer is None:
            return
        if self._target.layer_outputs is not None:
            self._target.layer_outputs.stop()
            return
        if self._inputs:  # llama.cpp never shrinks the buffer that holds them
            self.take()
            for inputs in self._inputs:
                nbytes = self._target.params.micro_batch * self._part_bytes
                self._target.release_memory(inputs, nbytes)
        self._keep_inputs(False)

    def take(self) -> None:
        """Take the inputs of the computation that has just ended. Raises EngineFailed."""
        if self._target.layer_outputs is not None:
            self._inputs = self._target.layer_outputs.take(self._layers)
        else:
            self._inputs = [self._input_of(self._target.pointer, layer) for layer in self._layers]

    def copy(self, row: int, slot: int) -> None:
        """Copy a row of the computation into one of the `FEATURE_ROWS` slots."""
        to = self.address(slot)
        for part, inputs in enumerate(self._inputs):
            at = to + part * self._part_bytes
            ctypes.memmove(at, inputs + row * self._part_bytes, self._part_bytes)

    def move(self, slot: int, to: int) -> None:
        """Copy a slot to an earlier one."""
        ctypes.memmove(self.address(to), self.address(slot), self._row_bytes)

    def address(self, slot: int) -> int:
        """Return the address of a slot; the next slots follow it."""
        return ctypes.addressof(self._rows) + slot * self._row_bytes
