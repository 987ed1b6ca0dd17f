"""Streams a model's weights from disk while it is loaded and while it computes.

The engine passes `overrides` to the model and `callback` to the context. The callback is
native: before each node of the graph it finds the weight that the node's operand needs and waits
for it in the prefetch ring (`weights.prefetch`); weights that are not in the ring
are requested from this module. Nothing here depends on the names or kinds of nodes; the order of
weights is learned from the first pass, and a wrong prediction costs time, not correctness. A
mixture's experts are fetched once the routing is known (`weights.experts`).
"""

from collections.abc import Callable
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.core.events import WeightsStats
from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.background_load import BackgroundLoad, load_groups
from deepseek_r1.weights.direct_file import open_files
from deepseek_r1.weights.experts import ExpertStreamer
from deepseek_r1.weights.ggml.buffer_type import BufferType
from deepseek_r1.weights.ggml.tensor_layout import Ggml, set_word, word_at
from deepseek_r1.weights.prefetch import EvalCallback, PrefetchRing
from deepseek_r1.weights.residency import (
    CHUNK_BYTES,
    EMBEDDING,
    EMBEDDING_BYTES,
    MIB,
    Residency,
    plan_residency,
    streamable,
)
from deepseek_r1.weights.resident_memory import (
    EmbeddingRows,
    ResidentMemory,
    TemporaryReads,
)
from deepseek_r1.weights.weight import TensorRegistry, Weight


class StreamedWeights:
    """Owns everything between a model's files and its tensors.

    `set_residency` may be called from any thread; all else belongs to the computing one.
    """

    def __init__(
        self,
        functions: Any,
        header: ModelHeader,
        residency: Residency,
        *,
        strategy: CacheStrategy = CacheStrategy.AUTO,
        chunk_bytes: int = CHUNK_BYTES,
        direct: bool = True,
    ) -> None:
        """`functions` has those of ggml. `residency` was planned with slots of whole chunks.

        Raises StreamingUnavailable, WeightsUnreadableError.
        """
        self._header, self._strategy, self._chunk_bytes = header, strategy, chunk_bytes
        self._planned = self._residency = residency
        self.reclaimable_mib, self._residency_changed = 0.0, False
        self.tokens_at_once = residency.tokens_at_once  # the largest batch; 0 for any
        self.ggml = Ggml(functions)
        self._tensors = TensorRegistry(self.ggml, header)
        self._type = BufferType(self.ggml, self._tensors.on_tensor)
        self._files = open_files(header.parts, direct=direct, chunk_bytes=chunk_bytes)
        self._resident = ResidentMemory(self._files)
        self._prefetch = PrefetchRing(self._files, residency.ring_bytes)
        self._embedding: EmbeddingRows | None = None
        self._experts: ExpertStreamer | None = None
        self._expert_weights: frozenset[Weight] = frozenset()
        self._to_pin: set[Weight] = set()  # pinned when the computation uses them next
        self._temporary = TemporaryReads(self._resident)
        self._unread: list[Weight] = []  # whose reads failed, until the computation has ended
        self.callback = EvalCallback(self._prefetch, self.ggml.fields, self._on_node, self._on_pass)
        pinned = self._tensors.named(residency.pinned)
        self._background = BackgroundLoad(self._resident, *load_groups(header, pinned))
        self._hits = self._misses = self._passes = 0
        self.overrides = self._type.overrides  # address of the model's `tensor_buft_overrides`
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def stats(self) -> WeightsStats:
        """The sizes and counters now. From any thread."""
        on_disk = sum(each.nbytes for each in self._on_disk())
        pinned = sum(each.nbytes for each in self._tensors.by_address.values()) - on_disk
        ring, temporary, embedding = self._prefetch.counters, self._temporary, self._embedding
        rows, rows_s = (embedding.read_bytes, embedding.wait_s) if embedding else (0, 0.0)
        stats = WeightsStats(
            pinned_mib=pinned / MIB,
            loading_mib=self._background.unread_bytes / MIB,
            slots_mib=self._prefetch.ring_bytes / MIB,
            slots_filled_mib=ring.filled_bytes / MIB,
            streamed_mib=sum(each.nbytes for each in self._streamed()) / MIB,
            read_mib=(ring.read_bytes + temporary.read_bytes + rows) / MIB,
            io_wait_s=ring.wait_s + temporary.wait_s + self._background.wait_s + rows_s,
            hits=self._hits,
            misses=self._misses,
            passes=self._passes,
            direct=self._prefetch.direct,
        )
        reads_mib = self._residency.expert_reads_mib
        return stats if self._experts is None else self._experts.add_to(stats, reads_mib)

    def _on_disk(self) -> list[Weight]:
        """The weights that are neither resident nor being loaded. From any thread."""
        loading = self._background.pending.copy()
        return [each for each in self.callback.nonresident if each not in loading]

    def _streamed(self) -> list[Weight]:
        """The weights that every pass reads now."""
        elsewhere = self._expert_weights
        return [e for e in self._on_disk() if e.name != EMBEDDING and e not in elsewhere]

    def _to_stream(self) -> list[Weight]:
        """The weights that the plan streams, except those that cannot be moved."""
        used = self._tensors.by_name
        planned = [used[name] for name in self._residency.streamed if name in used]
        return [each for each in planned if each not in self._tensors.viewed]

    # ---- the load ---------------------------------------------------------------------------

    def finish_load(self, on_progress: Callable[[float], bool]) -> None:
        """After llama.cpp's own load: read what must be resident, and begin to stream the rest.

        Pinned weights that the callback can wait for may still be loading when this returns.
        Raises StreamingUnavailable, LoadStopped, WeightsUnreadableError.
        """
        for file, state in zip(self._files, self._header.states, strict=False):
            file.check_is(state)
        self._tensors.assign_addresses(self._resident.address)
        used, viewed = self._tensors.by_name, self._tensors.viewed
        streamed = self._to_stream()
        for each in streamed:
            self.callback.evict(each, streamed=True)
        self._stream_experts(used)
        self._stream_embedding(used, viewed)
        handled = self._background.weights.union(self.callback.nonresident)
        others = [each for each in used.values() if each not in handled]
        loading = BackgroundLoad(self._resident, others)
        try:
            loading.wait_for_all(others, on_progress)
        finally:
            loading.stop()
        for each in self._background.finish(used.values(), viewed, on_progress):
            self.callback.evict(each, streamed=False)
        for file in self._files:
            file.drop_cache()
        self._prefetch.set_order(streamed)
        self._update_filter()

    def _stream_experts(self, used: dict[str, Weight]) -> None:
        if capacity := self._residency.experts_bytes:
            self._experts = ExpertStreamer(
                self._header,
                used,
                self._resident,
                self.ggml,
                capacity=capacity,
                strategy=self._strategy,
            )
            self._expert_weights = self._experts.weights
            for each in self._expert_weights:
                self.callback.evict(each, streamed=False)

    def _stream_embedding(self, used: dict[str, Weight], viewed: set[Weight]) -> None:
        table = used.get(EMBEDDING)
        if self._residency.embedding_on_disk and table and table not in viewed:
            rows, fields = self._header.vocabulary, self.ggml.fields
            self._embedding = EmbeddingRows(table, rows, self._resident, fields, EMBEDDING_BYTES)
            self.callback.evict(table, streamed=False)

    def on_context_created(self, stopped: Callable[[], bool]) -> None:
        """After the context built its first graphs: pin the weights that are viewed by others.

        `stopped` tells whether the running computation was aborted, so that its result is not
        used. Raises StreamingUnavailable.
        """
        if self._experts is not None:
            self._experts.stopped = stopped
        self._tensors.on_viewed = self._on_viewed
        for weight in self._tensors.viewed.intersection(self.callback.nonresident):
            if weight in self._background.pending:
                self._wait_for_load(weight)
                continue
            if weight in self._expert_weights:
                raise StreamingUnavailable(detail=f"others look into {weight.name}")
            log.engine.debug("%s stays in memory: others look into it", weight.name)
            self._resident.read(*weight.range)
            self._pin(weight)

    # ---- the computation --------------------------------------------------------------------

    def _on_node(self, node: int, ask: int) -> int:
        """Handle a node that the native callback leaves to this module."""
        stops = False
        try:
            if not ask:
                self._on_computed()
                return True
            weight = self.callback.needed_by(node)
            if self.failure is None and weight is not None:
                stops = self._provide(node, weight)
            elif self.failure is None:
                stops = self._experts is not None and self._experts.stops_at(node)
        except Exception as error:  # noqa: BLE001 - must not cross C; the context raises it
            self._fail(error)
        if self.failure is None:
            return stops
        if ask and (unread := self.callback.needed_by(node)) is not None:
            # ggml looks at its abort flag only after a node: this one is computed, and its tensor
            # may still point into a ring that was freed when the budget moved.
            address = self._resident.make_readable(unread)
            set_word(unread.tensor + self.ggml.fields.data, address)
            if unread in self._streamed():  # of others, bytes may be in memory
                self._unread.append(unread)
        return False

    def _on_pass(self) -> int:
        try:
            self._on_pass_end()
        except Exception as error:  # noqa: BLE001 - must not cross C; the context raises it
            self._fail(error)
            return False
        return True

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.on_failure()

    def _provide(self, node: int, weight: Weight) -> bool:
        """Put the weight in place; True to compute now."""
        if weight in self._background.pending:
            self._wait_for_load(weight)
            return not self._background.done
        if self._embedding is not None and weight is self._embedding.weight:
            self._embedding.fetch(node)
            return False
        if weight in self._tensors.viewed:
            raise RuntimeError(f"{weight.name} was moved while others look into it")
        if self._experts is None or weight not in self._expert_weights:
            if self._prefetch.failure is not None:  # else it was just not on its way
                raise self._prefetch.failure
        else:
            if self.callback.touch(weight):
                self._experts.provide(node, weight)
            return False
        set_word(weight.tensor + self.ggml.fields.data, self._temporary.read(weight))
        self._update_filter()
        return True

    def _on_viewed(self, weight: Weight) -> None:
        """A graph has a view of a weight: if it is streamed, its next use is an error."""
        if weight in self.callback:
            self.callback.evict(weight, streamed=False)

    def _wait_for_load(self, weight: Weight) -> None:
        """Wait for a pinned weight that is being loaded."""
        self._background.wait_for(weight)
        self.callback.admit(weight)

    def _update_filter(self) -> None:
        """Let the native callback call this module only where there is something to decide."""
        self.callback.set_filter(
            integer_nodes=self._experts is not None,
            computed_runs=bool(self._to_pin or self._temporary.weights),
        )

    def _on_computed(self) -> None:
        """All acquired and temporary weights have been used."""
        if self._to_pin:
            self._pin_some([*self._prefetch.acquired, *self._temporary.weights])
        self._temporary.release(self.callback)
        self._prefetch.release()
        self._update_filter()

    def _pin_some(self, used: list[Weight]) -> None:
        """Pin those of the weights in use that shall be resident from now on."""
        for weight in self._to_pin.intersection(used):
            address = word_at(weight.tensor + self.ggml.fields.data)
            if address != self._resident.address(weight):
                self._resident.copy_from(weight, address)
            self._pin(weight)

    def _pin(self, weight: Weight) -> None:
        """Point the tensor to the resident memory, which holds the weight's bytes by now."""
        set_word(weight.tensor + self.ggml.fields.data, self._resident.address(weight))
        self.callback.admit(weight)
        self._to_pin.discard(weight)
        if self._embedding is not None and weight is self._embedding.weight:
            self._embedding = None

    def _on_pass_end(self) -> None:
        """All layers were computed once: prefetch in the order of use from now on.

        Raises WeightsUnreadableError where a file was changed, so that its bytes mean nothing.
        """
        for file in self._files:
            file.check_unchanged()
        weights = self._tensors.by_address
        needed = [weights[tensor] for tensor in self.callback.begin_pass()]
        used = [each for each in needed if each not in self._expert_weights]
        self._passes += 1
        self._misses += len(used)
        self._hits += len(weights) - len(self.callback.nonresident)
        order = [each for each in used if each in self.callback]
        if order != self._prefetch.order:
            self._prefetch.set_order(order)

    def abort_pass(self) -> Exception | None:
        """After a pass that ended in the middle: begin the next one from its start.

        Returns the error that ended the pass, if it is known.
        """
        failure, self.failure = self.failure, None
        self.callback.begin_pass()
        for weight in self._unread:
            self._resident.discard(*weight.range)
        self._unread.clear()
        self._temporary.release(self.callback)
        if self._experts is not None:
            self._experts.restart()
        self._prefetch.restart(pause=failure is not None)
        self._update_filter()
        return failure

    # ---- the budget -------------------------------------------------------------------------

    def set_residency(self, residency: Residency) -> None:
        """Change the plan, from any thread; in force with the next `apply_residency`."""
        self._planned, self._residency_changed = residency, True

    def set_reclaimable_memory(self, mib: float) -> None:
        """Set how much of the context's unused memory weights may take; in force as above."""
        if mib != self.reclaimable_mib:
            self.reclaimable_mib, self._residency_changed = mib, True

    def apply_residency(self) -> None:
        """Put a changed plan in force, between two computations.

        Evictions take effect at once. Weights to be pinned are kept when the computation uses them
        next, once those of the plan before have been loaded. After an error the next call tries
        again. Raises WeightsUnreadableError.
        """
        if not self._residency_changed:
            return
        self._residency_changed = False  # before it is read: another thread may change it again
        try:
            self._apply(self._planned)
        except BaseException:
            self._residency_changed = True
            raise

    def _apply(self, planned: Residency) -> None:
        residency = planned
        if self.reclaimable_mib:  # weights may take the context's unused memory too
            mib = planned.total_mib + self.reclaimable_mib
            residency = plan_residency(self._header, mib, chunk_bytes=self._chunk_bytes)
        grows = residency.pinned_mib > self._residency.pinned_mib
        if grows and self._background.pending and not self._background.done:
            self._residency_changed = True
            return
        # Not the extended plan's: how a prompt is divided into batches changes how results round,
        # so it must not depend on the length of the conversation.
        self.tokens_at_once = planned.tokens_at_once
        for weight in self._background.pending.copy():
            self._wait_for_load(weight)
        self._residency = residency
        self._on_computed()
        streamed = self._to_stream()
        self._to_pin = set(self._streamed()) - set(streamed)
        for weight in streamed:
            if weight not in self.callback:
                self.callback.evict(weight, streamed=True)
                self._resident.discard(*weight.range)
        if residency.ring_bytes != self._prefetch.ring_bytes:
            self._prefetch.resize(residency.ring_bytes)
        if self._experts is not None:
            self._experts.resize(residency.experts_bytes)
        rank = {name: n for n, name in enumerate(streamable(self._header))}
        self.callback.begin_pass()
        self._prefetch.set_order(sorted(self._streamed(), key=lambda each: rank[each.name]))
        self._update_filter()

    def close(self) -> None:
        """Free all memory. Only after the context and the model are freed."""
        self._background.stop()
        self.callback.close()
        self._prefetch.close()
        if self._experts is not None:
            self._experts.close()
        self._resident.close()
        for file in self._files:
            file.close()
        self._type.close()
