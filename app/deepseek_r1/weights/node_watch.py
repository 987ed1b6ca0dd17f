"""Which weights are not at home, and the native callback that looks for them in llama.cpp's graph.

What it does by itself, and what it asks of its owner, is told in `native/stretch.hpp`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from deepseek_r1.native.library import OnNode, OnPass, Owner, TensorLayout, native
from deepseek_r1.weights.ggml import TYPE_I32, TensorFields, word_at
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.read_ahead import ReadAhead


class NodeWatch:
    """For the computing thread; only `matrices` may come from any."""

    def __init__(
        self,
        ahead: ReadAhead,
        fields: TensorFields,
        on_node: Callable[[int, int], int],
        on_pass: Callable[[], int],
    ) -> None:
        """`on_node` and `on_pass` are the owner's part; they must not raise."""
        self._native, self._ahead, self._source = native(), ahead, fields.sources
        self._owner = Owner(OnNode(on_node), OnPass(on_pass))
        layout = TensorLayout(0, fields.sources, fields.data, TYPE_I32)
        self.user_data: int = self._native.stretch_new(ahead.ring, layout, self._owner)
        self._away: dict[int, Matrix] = {}  # by tensor

    @property
    def callback(self) -> int:
        """Address of what the context's `cb_eval` has to be, with `user_data`."""
        return ctypes.cast(self._native.stretch_on_node, ctypes.c_void_p).value or 0

    @property
    def matrices(self) -> list[Matrix]:
        """All that are not at home."""
        return list(self._away.values())

    def __contains__(self, matrix: object) -> bool:
        return isinstance(matrix, Matrix) and matrix.tensor in self._away

    def needed_by(self, node: int) -> Matrix | None:
        """The weight among them that a node computes with."""
        return self._away.get(word_at(node + self._source))

    def add(self, matrix: Matrix, *, streamed: bool) -> None:
        """A weight leaves home: for the ring, if `streamed`; else the owner is asked for it."""
        self._away[matrix.tensor] = matrix
        number = self._ahead.number(matrix) if streamed else -1
        self._native.stretch_watch(self.user_data, matrix.tensor, number)

    def remove(self, matrix: Matrix) -> None:
        """A weight is at home."""
        del self._away[matrix.tensor]
        self._native.stretch_forget(self.user_data, matrix.tensor)

    def show(self, *, whole_numbers: bool, ends: bool) -> None:
        """Let the owner see nodes of whole numbers, and hear of the end of each stretch."""
        self._native.stretch_show(self.user_data, whole_numbers, ends)

    def see(self, matrix: Matrix) -> bool:
        """A weight that the owner serves is needed. False where the owner's `on_pass` failed."""
        return bool(self._native.stretch_see(self.user_data, matrix.tensor))

    def begin_pass(self) -> list[int]:
        """Another pass begins; the tensors that the last one needed, in this order."""
        room = 4 * len(self._away) + 1024  # those that came home in it are among them
        tensors = (ctypes.c_uint64 * room)()
        count = self._native.stretch_begin_pass(self.user_data, tensors, room)
        return list(tensors[: min(count, room)])

    def close(self) -> None:
        """After the context is gone."""
        self._native.stretch_free(self.user_data)
