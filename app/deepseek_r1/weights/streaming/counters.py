"""Adds up the counters of everything that takes part in streaming."""

from collections.abc import Container

from deepseek_r1.core.events import WeightsStats
from deepseek_r1.weights.residency import EMBEDDING, MIB
from deepseek_r1.weights.streaming.background_load import BackgroundLoad
from deepseek_r1.weights.streaming.prefetch import EvalCallback, PrefetchRing
from deepseek_r1.weights.streaming.resident_memory import EmbeddingRows, TemporaryReads
from deepseek_r1.weights.weight import TensorRegistry, Weight


class StreamingCounters:
    """The counters of one model. `count_pass` is for the computing thread, the rest for any."""

    def __init__(
        self,
        tensors: TensorRegistry,
        callback: EvalCallback,
        prefetch: PrefetchRing,
        temporary: TemporaryReads,
        background: BackgroundLoad,
    ) -> None:
        self._tensors, self._callback, self._prefetch = tensors, callback, prefetch
        self._temporary, self._background = temporary, background
        self._hits = self._misses = self._passes = 0

    def count_pass(self, read: int) -> None:
        """Count one pass over all layers that read `read` weights."""
        self._passes += 1
        self._misses += read
        self._hits += len(self._tensors.by_address) - len(self._callback.nonresident)

    def streamed(self, experts: Container[Weight]) -> list[Weight]:
        """The weights that every pass reads now."""
        return [each for each in self._on_disk() if each.name != EMBEDDING and each not in experts]

    def _on_disk(self) -> list[Weight]:
        """The weights that are neither resident nor being loaded."""
        loading = self._background.pending.copy()
        return [each for each in self._callback.nonresident if each not in loading]

    def stats(self, experts: Container[Weight], embedding: EmbeddingRows | None) -> WeightsStats:
        """The counters now, without those of a mixture's experts."""
        on_disk = sum(each.nbytes for each in self._on_disk())
        pinned = sum(each.nbytes for each in self._tensors.by_address.values()) - on_disk
        rows, rows_s = (embedding.read_bytes, embedding.wait_s) if embedding else (0, 0.0)
        ring, temporary = self._prefetch.counters, self._temporary
        return WeightsStats(
            pinned_mib=pinned / MIB,
            loading_mib=self._background.unread_bytes / MIB,
            slots_mib=self._prefetch.ring_bytes / MIB,
            slots_filled_mib=ring.filled_bytes / MIB,
            streamed_mib=sum(each.nbytes for each in self.streamed(experts)) / MIB,
            read_mib=(ring.read_bytes + temporary.read_bytes + rows) / MIB,
            io_wait_s=ring.wait_s + temporary.wait_s + self._background.wait_s + rows_s,
            hits=self._hits,
            misses=self._misses,
            passes=self._passes,
            direct=self._prefetch.direct,
        )
