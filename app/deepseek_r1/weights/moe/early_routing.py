"""Knows a layer's experts before its attention, where its router reads the layer's own input.

In llama.cpp's graph of `smallthinker` the router's product has the output of the layer before as
its operand, but is computed after the attention. The same product is computed here as soon as that
operand is there, and the experts that it chooses are read during the attention. It is only a
reason to read: which experts are used is still what the graph computes.
"""

import ctypes
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deepseek_r1.native.native_library import native
from deepseek_r1.weights.ggml.tensor_layout import TYPE_F32, Ggml, word_at
from deepseek_r1.weights.weight import Weight

_ROUTER = ".ffn_gate_inp.weight"
_LAYER_OUTPUT = "l_out"  # llama.cpp's name; under another one nothing is read early
_STEPS = 8  # from a routing back to its router's product
_MOST_TOKENS = 8  # more use most experts of a layer, and their products take time


@dataclass(frozen=True, slots=True)
class _Router:
    layer: int
    weight: Weight
    used: int  # experts of each token
    input_name: str


class EarlyRouting:
    """For the computing thread. Nodes and tensors are addresses of ggml's structures."""

    def __init__(
        self,
        ggml: Ggml,
        weights: Mapping[int, Weight],
        watch: Callable[[int], None],
        expect: Callable[[int, Mapping[int, int]], None],
    ) -> None:
        """`weights` are by tensor. `watch` asks for the nodes whose first operand a tensor is.

        `expect` gets a layer and its experts, each with the number of its tokens.
        """
        self._ggml, self._fields, self._weights = ggml, ggml.fields, weights
        self._watch, self._expect = watch, expect
        self._routers: dict[int, _Router] = {}  # by the input
        self._computed = 0  # the input behind which the graph was stopped

    def learn(self, layer: int, routing: int) -> None:
        """A layer has used this routing: know its router from the next pass on."""
        node = routing
        for _ in range(_STEPS):
            source = word_at(node + self._fields.sources)
            weight = self._weights.get(source)
            if weight is not None:
                self._learn(layer, weight, word_at(node + self._fields.sources + 8), routing)
            if weight is not None or not source:
                return
            node = source

    def _learn(self, layer: int, weight: Weight, value: int, routing: int) -> None:
        known = self._routers.get(value)
        if known is not None and known.layer == layer:
            return
        name = self._ggml.name(value)
        early = weight.name.endswith(_ROUTER) and name.rpartition("-")[0] == _LAYER_OUTPUT
        if early and self._is_f32(value) and self._is_f32(weight.tensor):
            used = word_at(routing + self._fields.extent)
            self._routers[value] = _Router(layer, weight, used, name)
            for each in (value, word_at(value + self._fields.sources)):
                self._watch(each)

    def _is_f32(self, tensor: int) -> bool:
        return word_at(tensor) & 0xFFFFFFFF == TYPE_F32

    def stops_at(self, node: int) -> bool:
        """Whether the graph has to stop behind a node, since it is a router's input.

        The first node that reads it has its experts expected.
        """
        if node in self._routers:
            self._computed = node
            return True
        value, self._computed = self._computed, 0
        if value and word_at(node + self._fields.sources) == value:
            self._choose(value, self._routers[value])
        return False

    def _choose(self, value: int, router: _Router) -> None:
        fields = self._fields
        width, tokens = (word_at(value + fields.extent + 8 * n) for n in range(2))
        experts = router.weight.nbytes // (4 * width)
        as_known = self._ggml.name(value) == router.input_name and self._is_f32(value)
        whole = experts * width * 4 == router.weight.nbytes and 0 < router.used <= experts
        if not as_known or tokens > _MOST_TOKENS or not whole:
            return
        matrix, row = word_at(router.weight.tensor + fields.data), word_at(value + fields.data)
        chosen = (ctypes.c_int * router.used)()
        uses: Counter[int] = Counter()
        for token in range(tokens):
            native().largest_products(
                matrix, row + 4 * width * token, experts, width, router.used, chosen
            )
            uses.update(chosen)
        self._expect(router.layer, uses)
