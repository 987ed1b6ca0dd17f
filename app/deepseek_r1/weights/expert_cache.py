"""A mixture's experts in memory: those that the next matrices need are fetched, others given back.

An expert's slices have their places at the tensors' homes, whose addresses are reserved for all
experts, so that a tensor looks whole to the computation; only what is kept costs memory. Slices
begin and end inside pages: such a page is given back with the last expert that reaches into it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.experts import expert_layers
from deepseek_r1.weights.homes import Homes, Piece, pieces_of
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.policies import CachePolicy, make_policy
from deepseek_r1.weights.region import PAGE, page_down, page_up
from deepseek_r1.weights.resident_set import ResidentSet

_READERS = 4  # the computing thread is one of them


class ExpertCache:
    """For the computing thread, between computations. Experts of a layer have numbers from 0."""

    def __init__(
        self,
        layers: Sequence[Sequence[Matrix]],
        experts: int,
        room: int,
        policy: CachePolicy,
        homes: Homes,
    ) -> None:
        """`layers`: the tensors of each layer, with an equal slice for every expert; bytes."""
        self._layers, self.experts, self._homes = layers, experts, homes
        self.room, self.strategy = room, policy.strategy
        sizes = [sum(map(self._resident_bytes, layer)) for layer in layers for _ in range(experts)]
        self._set = ResidentSet(sizes, room, policy)
        self._layer_of = {matrix: n for n, layer in enumerate(layers) for matrix in layer}
        self.matrices = frozenset(self._layer_of)
        self._pool = ThreadPoolExecutor(_READERS - 1, "weights-experts")
        self.stopped: Callable[[], bool] = lambda: False
        self.read_bytes = 0
        self.wait_s = 0.0

    def _resident_bytes(self, matrix: Matrix) -> int:
        return page_up(matrix.nbytes // self.experts) + PAGE

    @property
    def nbytes(self) -> int:
        """What is in memory now."""
        return self._set.nbytes

    @property
    def hits(self) -> int:
        """Uses of an expert that was in memory."""
        return self._set.hits

    @property
    def misses(self) -> int:
        """Uses of an expert that had to be read."""
        return self._set.misses

    def layer_of(self, matrix: Matrix) -> int:
        """Index of the layer a tensor belongs to."""
        return self._layer_of[matrix]

    def require(self, layer: int, uses: Mapping[int, int]) -> None:
        """Have these experts of a layer in memory, each wanted by so many tokens.

        When `stopped` says so, it ends early, with some of them missing: nothing that is computed
        then is looked at. Raises SetTooSmallError, WeightsUnreadableError.
        """
        base = layer * self.experts
        change = self._set.step({base + expert: tokens for expert, tokens in uses.items()})
        self._discard(change.evicted)
        if not change.missing:
            return
        began = time.perf_counter()
        there = False
        try:
            there = self._fetch(change.missing)
        finally:
            if not there:
                for key in change.missing:
                    self._set.forget(key)
                self._discard(change.missing)
            self.wait_s += time.perf_counter() - began

    def _fetch(self, keys: Sequence[int]) -> bool:
        """Read all slices, neighbours together. False where it was stopped."""
        pieces = list(pieces_of(self._slices(keys)))
        shares = [share for n in range(_READERS) if (share := pieces[n::_READERS])]
        others = [self._pool.submit(self._read, share) for share in shares[1:]]
        try:
            self._read(shares[0])
        finally:
            wait(others)  # before anything is given back
        for each in others:
            each.result()
        self.read_bytes += sum(end - start for _, start, end in pieces)
        return not self.stopped()

    def _read(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if self.stopped():
                return
            self._homes.read(*piece)

    def _slices(self, keys: Sequence[int]) -> list[Piece]:
        found = []
        for key in keys:
            layer, expert = divmod(key, self.experts)
            for matrix in self._layers[layer]:
                size = matrix.nbytes // self.experts
                start = matrix.offset + expert * size
                found.append((matrix.part, start, start + size))
        return found

    def _discard(self, keys: Sequence[int]) -> None:
        for key in keys:
            layer, expert = divmod(key, self.experts)
            for matrix in self._layers[layer]:
                first, last = self._own_pages(matrix, layer * self.experts, expert)
                self._homes.discard(matrix.part, first, last)

    def _own_pages(self, matrix: Matrix, base: int, expert: int) -> tuple[int, int]:
        """The pages around a slice that nothing in memory shares with it."""
        size = matrix.nbytes // self.experts
        start = matrix.offset + expert * size
        first, last = page_down(start), page_up(start + size)
        lowest = max((first - matrix.offset) // size, 0)
        highest = min((last - 1 - matrix.offset) // size, self.experts - 1)
        if first < matrix.offset or self._any(base, range(lowest, expert)):
            first += PAGE
        if last > matrix.offset + matrix.nbytes or self._any(base, range(expert + 1, highest + 1)):
            last -= PAGE
        return first, last

    def _any(self, base: int, experts: range) -> bool:
        return any(base + expert in self._set for expert in experts)

    def resize(self, room: int) -> None:
        """Another room in bytes; less of it takes effect at once."""
        self.room = room
        self._discard(self._set.resize(room))

    def empty(self) -> None:
        """Give all experts that there are back."""
        self._discard(self._set.resize(0))
        self._set.resize(self.room)

    def close(self) -> None:
        """End the readers."""
        self._pool.shutdown(wait=True)


def expert_cache(
    header: ModelHeader,
    used: Mapping[str, Matrix],
    room: int,
    strategy: CacheStrategy,
    homes: Homes,
) -> ExpertCache:
    """The cache of a mixture. `used`: the tensors that the model uses, by name; `room` in bytes."""
    named = ([used.get(each.name) for each in layer.tensors] for layer in expert_layers(header))
    layers = [found for layer in named if (found := [each for each in layer if each is not None])]
    policy = make_policy(strategy, len(layers))
    return ExpertCache(layers, header.experts, room, policy, homes)
