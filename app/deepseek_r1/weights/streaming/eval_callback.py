"""The native eval callback, which finds weights that are not resident in llama.cpp's graph.

`native/eval_callback.hpp` documents what it does by itself and what it leaves to the handlers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from deepseek_r1.native.native_library import (
    Handlers,
    NodeKernels,
    OnNode,
    OnPass,
    native,
)
from deepseek_r1.weights.ggml.tensor_layout import TensorFields, native_offsets, word_at
from deepseek_r1.weights.streaming.prefetch import PrefetchRing
from deepseek_r1.weights.weight import Weight


class EvalCallback:
    """For the computing thread; only `nonresident` may be read from any."""

    def __init__(
        self,
        prefetch: PrefetchRing,
        fields: TensorFields,
        on_node: Callable[[int, int], int],
        on_pass: Callable[[], int],
    ) -> None:
        """`on_node` and `on_pass` are the handlers; they must not raise."""
        self._native, self._prefetch, self._source = native(), prefetch, fields.sources
        self._handlers = Handlers(OnNode(on_node), OnPass(on_pass))
        self.user_data: int = self._native.callback_new(
            prefetch.ring, native_offsets(fields), self._handlers
        )
        self._nonresident: dict[int, Weight] = {}  # by tensor

    @property
    def address(self) -> int:
        """Address of the context's `cb_eval`, which has to get `user_data`."""
        return ctypes.cast(self._native.callback_on_node, ctypes.c_void_p).value or 0

    @property
    def nonresident(self) -> list[Weight]:
        """All weights that are not resident."""
        return list(self._nonresident.values())

    def __contains__(self, weight: object) -> bool:
        return isinstance(weight, Weight) and weight.tensor in self._nonresident

    def needed_by(self, node: int) -> Weight | None:
        """The weight that a node needs, if it is not resident."""
        return self._nonresident.get(word_at(node + self._source))

    def evict(self, weight: Weight, *, streamed: bool) -> None:
        """Treat a weight as not resident.

        The prefetch ring provides it from now on if it is `streamed`, else the handler.
        """
        self._nonresident[weight.tensor] = weight
        number = self._prefetch.number(weight) if streamed else -1
        self._native.callback_evict(self.user_data, weight.tensor, number)

    def admit(self, weight: Weight) -> None:
        """Treat a weight as resident."""
        del self._nonresident[weight.tensor]
        self._native.callback_admit(self.user_data, weight.tensor)

    def set_filter(self, *, integer_nodes: bool, computed_runs: bool) -> None:
        """Whether the handler is called for nodes of integers, and after each computed run."""
        self._native.callback_set_filter(self.user_data, integer_nodes, computed_runs)

    def set_kernels(self, kernels: NodeKernels) -> None:
        """Have these kernels compute nodes in llama.cpp's place.

        Only before the context is created or after it is freed: its graph has their addresses.
        """
        self._native.callback_set_kernels(self.user_data, kernels)

    def touch(self, weight: Weight) -> bool:
        """Record the use of a weight that the handler provides. False where `on_pass` failed."""
        return bool(self._native.callback_touch(self.user_data, weight.tensor))

    def begin_pass(self) -> list[int]:
        """Begin another pass; returns the tensors that the last one used, in order of use."""
        capacity = 4 * len(self._nonresident) + 1024  # some were admitted during the pass
        tensors = (ctypes.c_uint64 * capacity)()
        count = self._native.callback_begin_pass(self.user_data, tensors, capacity)
        return list(tensors[: min(count, capacity)])

    def close(self) -> None:
        """Free the callback. Only after the context is freed."""
        self._native.callback_free(self.user_data)
