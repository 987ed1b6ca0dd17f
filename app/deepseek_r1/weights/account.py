"""What streaming did and does, added up over all who take part in it."""

from __future__ import annotations

from collections.abc import Container

from deepseek_r1.weights.arrivals import Arrivals
from deepseek_r1.weights.embedding import EmbeddingRows
from deepseek_r1.weights.homes import Loans
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.node_watch import NodeWatch
from deepseek_r1.weights.read_ahead import ReadAhead
from deepseek_r1.weights.residency import EMBEDDING, MIB
from deepseek_r1.weights.stats import WeightsStats
from deepseek_r1.weights.tensors import ModelTensors


class Account:
    """`passed` is for the computing thread, the rest may come from any."""

    def __init__(
        self,
        tensors: ModelTensors,
        watch: NodeWatch,
        ahead: ReadAhead,
        loans: Loans,
        arrivals: Arrivals,
    ) -> None:
        self._tensors, self._watch = tensors, watch
        self._ahead, self._loans, self._arrivals = ahead, loans, arrivals
        self._hits = self._misses = self._passes = 0

    def passed(self, read: int) -> None:
        """All layers were computed once, for which so many weights were read."""
        self._passes += 1
        self._misses += read
        self._hits += len(self._tensors.by_address) - len(self._watch.matrices)

    def streamed(self, experts: Container[Matrix]) -> list[Matrix]:
        """What comes by in every pass now."""
        away = self._away()
        return [each for each in away if each.name != EMBEDDING and each not in experts]

    def _away(self) -> list[Matrix]:
        """What is not at home, and is not on its way there."""
        arriving = self._arrivals.pending.copy()
        return [each for each in self._watch.matrices if each not in arriving]

    def stats(self, experts: Container[Matrix], embedding: EmbeddingRows | None) -> WeightsStats:
        """The counters now, without those of a mixture's experts."""
        away = sum(each.nbytes for each in self._away())
        here = sum(each.nbytes for each in self._tensors.by_address.values()) - away
        rows, rows_s = (embedding.read_bytes, embedding.wait_s) if embedding else (0, 0.0)
        ring = self._ahead.counters
        return WeightsStats(
            pinned_mib=here / MIB,
            arriving_mib=self._arrivals.left_bytes / MIB,
            slots_mib=self._ahead.ring_bytes / MIB,
            slots_filled_mib=ring.filled_bytes / MIB,
            streamed_mib=sum(each.nbytes for each in self.streamed(experts)) / MIB,
            read_mib=(ring.read_bytes + self._loans.read_bytes + rows) / MIB,
            io_wait_s=ring.wait_s + self._loans.wait_s + self._arrivals.wait_s + rows_s,
            hits=self._hits,
            misses=self._misses,
            passes=self._passes,
            direct=self._ahead.direct,
        )
