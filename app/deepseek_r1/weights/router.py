"""Which experts the tokens at hand need, read from the graph while it is computed.

A matrix product with experts (ggml's MUL_MAT_ID) has the choice as its third operand: a tensor of
whole numbers, a row for each token. It has to be computed, and the graph stopped behind it, before
the product is asked for. Names are no contract: at first the graph is stopped behind every tensor
of whole numbers; once the products have shown which are choices, behind tensors of those names
(`ffn_moe_topk` in llama.cpp's graphs of today). A choice that was missed is told, not guessed.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Mapping

from deepseek_r1.weights.ggml import TYPE_I32, Ggml, word_at

_MOST_REMEMBERED = 4096  # graphs are built anew, at other addresses


class Router:
    """Finds choices and reads them. For the computing thread."""

    def __init__(self, ggml: Ggml) -> None:
        self._ggml, self._fields = ggml, ggml.fields
        self._names: set[str] = set()  # of choices, without the layer's number
        self._stopped: set[int] = set()  # nodes that were computed before what follows them

    def stops_at(self, node: int) -> bool:
        """Whether the graph has to be computed up to this node before the next is looked at."""
        if word_at(node) & 0xFFFFFFFF != TYPE_I32:
            return False
        if self._names and self._name(node) not in self._names:
            self._stopped.discard(node)
            return False
        if len(self._stopped) > _MOST_REMEMBERED:
            self._stopped.clear()
        self._stopped.add(node)
        return True

    def choice(self, product: int, experts: int) -> Mapping[int, int] | None:
        """The experts that a product needs, each with the number of its tokens.

        None where the choice is not known: the graph was not stopped behind it.
        Raises TypeError or ValueError for one that cannot be.
        """
        chosen = word_at(product + self._fields.sources + 16)
        if chosen not in self._stopped:
            return None
        self._names.add(self._name(chosen))
        used, tokens = (word_at(chosen + self._fields.extent + 8 * i) for i in range(2))
        each, row = (word_at(chosen + self._fields.strides + 8 * i) for i in range(2))
        if each != ctypes.sizeof(ctypes.c_int32):
            raise TypeError("the choice of experts is laid out in another way")
        counts: Counter[int] = Counter()
        data = word_at(chosen + self._fields.data)
        for token in range(tokens):
            counts.update((ctypes.c_int32 * used).from_address(data + token * row))
        if not all(0 <= expert < experts for expert in counts):
            raise ValueError(f"experts beyond the {experts} there are were chosen")
        return counts

    def _name(self, node: int) -> str:
        return self._ggml.name(node).rpartition("-")[0]
