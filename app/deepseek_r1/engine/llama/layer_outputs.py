"""Copies the inputs of a model's layers, for families of which llama.cpp does not expose them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.native.native_library import native
from deepseek_r1.weights.ggml.tensor_layout import TensorFields, native_offsets

_FLOAT_BYTES = 4


class LayerOutputs:
    """The inputs of some layers in the last computation of a context. For its thread.

    The input of a layer is the output of the layer before it. `native/layer_outputs.hpp` copies
    that output during the computation, in the eval callback of the context.
    """

    def __init__(self, fields: TensorFields, layers: Sequence[int], width: int, rows: int) -> None:
        """Copy the inputs of `layers`, which have `width` floats for each token.

        The input of the first layer cannot be copied. `rows` is the most tokens of one computation.
        """
        self._native = native()
        self.user_data: int = self._native.layer_outputs_new(native_offsets(fields), width, rows)
        size = rows * width * _FLOAT_BYTES
        self._inputs = {layer: ctypes.create_string_buffer(size) for layer in set(layers)}
        for layer, inputs in self._inputs.items():
            self._native.layer_outputs_add(self.user_data, layer - 1, ctypes.addressof(inputs))

    def take(self, layers: Sequence[int]) -> list[int]:
        """Return the address of each layer's input: `width` floats for each token computed.

        Call it once after each computation. Raises EngineFailed where an input was not copied.
        """
        if self._native.layer_outputs_take_count(self.user_data) < len(self._inputs):
            raise EngineFailed(detail="llama.cpp gave out no hidden states of the model")
        return [ctypes.addressof(self._inputs[layer]) for layer in layers]

    def stop(self) -> None:
        """Stop copying, and free the copies."""
        self._native.layer_outputs_clear(self.user_data)
        self._inputs.clear()

    def close(self) -> None:
        """Free everything. The context has to be freed before."""
        self._native.layer_outputs_free(self.user_data)
        self._inputs.clear()
