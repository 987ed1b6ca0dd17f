"""A model's weights between memory and disk while it is loaded and while it computes.

The engine hands its model `overrides`, its context `eval_callback`. Before each node of the graph
llama.cpp asks the callback, which sees by the node's operand which weight is needed, waits for it,
points the weight's tensor to it, and ends the stretch that is computed in one go where the next
weight is not there yet. Nothing depends on names or kinds of nodes; the order in which weights are
needed is learned from the first pass, and a wrong guess costs time, not truth. A mixture's experts
are fetched once it is known which of them are needed (`weights.mixture`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.arrivals import Arrivals, by_need
from deepseek_r1.weights.embedding import EmbeddingRows
from deepseek_r1.weights.expert_cache import expert_cache
from deepseek_r1.weights.ggml_buffer import WORDS, BufferType, Ggml, set_word, word_at
from deepseek_r1.weights.homes import Homes, Loans
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.mixture import Mixture
from deepseek_r1.weights.read_ahead import ReadAhead
from deepseek_r1.weights.reader import WeightsUnreadableError, open_files
from deepseek_r1.weights.residency import (
    CHUNK_BYTES,
    EMBEDDING,
    EMBEDDING_BYTES,
    MIB,
    Residency,
    plan_residency,
    streamable,
)
from deepseek_r1.weights.stats import WeightsStats
from deepseek_r1.weights.tensors import ModelTensors

_EvalCallback = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_size_t, ctypes.c_bool, ctypes.c_void_p)


class StreamedWeights:
    """Owns everything between a model's files and its tensors.

    `set_weights_budget` may come from any thread; all else belongs to the computing one.
    """

    def __init__(
        self,
        handle: Any,
        header: ModelHeader,
        weights_mib: float,
        *,
        strategy: CacheStrategy = CacheStrategy.AUTO,
        chunk_bytes: int = CHUNK_BYTES,
        direct: bool = True,
    ) -> None:
        """`handle` is the library's; slots are whole chunks.

        Raises ResidencyTooSmall, StreamingUnavailable, WeightsUnreadableError.
        """
        self._header, self._strategy, self._chunk_bytes = header, strategy, chunk_bytes
        self._residency = plan_residency(header, weights_mib, chunk_bytes=chunk_bytes)
        self._ggml = Ggml(handle)
        self._tensors = ModelTensors(self._ggml, header)
        self._type = BufferType(self._ggml, self._tensors.hear)
        self._files = open_files(header.parts, direct=direct, chunk_bytes=chunk_bytes)
        self._homes = Homes(self._files)
        self._ahead = ReadAhead(self._files, self._residency.ring_bytes)
        self._awaited: dict[int, Matrix] = {}  # by the tensor's address: not at home
        self._embedding: EmbeddingRows | None = None
        self._mixture: Mixture | None = None
        self._experts: frozenset[Matrix] = frozenset()
        self._growing: set[Matrix] = set()  # to be kept when they come by next
        self._group: list[Matrix] = []  # taken, not computed with yet
        self._loans = Loans(self._homes)
        self._seen: dict[Matrix, None] = {}  # in this pass
        self._wanted: Residency | None = None
        self._hits = self._misses = self._passes = 0
        self._source, self._data = self._ggml.fields.sources, self._ggml.fields.data
        self._callback = _EvalCallback(self._on_node)
        pinned = self._tensors.named(self._residency.pinned)
        self._arrivals = Arrivals(self._homes, *by_need(header, pinned))
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def overrides(self) -> int:
        """Address of the model's `tensor_buft_overrides`."""
        return self._type.overrides

    @property
    def eval_callback(self) -> int:
        """Address of the context's `cb_eval`; its user data is nothing."""
        return ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    @property
    def tokens_at_once(self) -> int:
        """How many tokens may be computed together; 0 for any number."""
        return self._residency.tokens_at_once

    @property
    def stats(self) -> WeightsStats:
        """The counters now."""
        away = sum(each.nbytes for each in self._away())
        here = sum(each.nbytes for each in self._tensors.by_address.values()) - away
        rows, rows_s = (each.read_bytes, each.wait_s) if (each := self._embedding) else (0, 0.0)
        told = WeightsStats(
            pinned_mib=here / MIB,
            arriving_mib=self._arrivals.left_bytes / MIB,
            slots_mib=self._ahead.ring_bytes / MIB,
            slots_filled_mib=self._ahead.filled_bytes / MIB,
            streamed_mib=sum(each.nbytes for each in self._streamed()) / MIB,
            read_mib=(self._ahead.read_bytes + self._loans.read_bytes + rows) / MIB,
            io_wait_s=self._ahead.wait_s + self._loans.wait_s + self._arrivals.wait_s + rows_s,
            hits=self._hits,
            misses=self._misses,
            passes=self._passes,
            direct=all(file.direct for file in self._files),
        )
        mixture, reads_mib = self._mixture, self._residency.expert_reads_mib
        return told if mixture is None else mixture.added(told, reads_mib)

    def _to_stream(self) -> list[Matrix]:
        """What has to be streamed by the plan, as far as it can be moved."""
        used = self._tensors.by_name
        planned = [used[name] for name in self._residency.streamed if name in used]
        return [each for each in planned if each not in self._tensors.viewed]

    def _streamed(self) -> list[Matrix]:
        """What comes by in every pass now. From any thread."""
        away = self._away()
        return [each for each in away if each.name != EMBEDDING and each not in self._experts]

    def _away(self) -> list[Matrix]:
        """What is not at home, and is not on its way there. From any thread."""
        arriving = self._arrivals.pending.copy()
        return [each for each in list(self._awaited.values()) if each not in arriving]

    # ---- the load ---------------------------------------------------------------------------

    def attach(self, on_progress: Callable[[float], bool]) -> None:
        """After llama.cpp's own load: begin to read what is streamed.

        Of what is pinned, matrices may still be on their way: the callback waits for them. The
        rest is there. Raises StreamingUnavailable, LoadStopped, WeightsUnreadableError.
        """
        self._tensors.place(self._homes)
        used, viewed = self._tensors.by_name, self._tensors.viewed
        streamed = self._to_stream()
        self._awaited = {each.tensor: each for each in streamed}
        if room := self._residency.experts_bytes:
            cache = expert_cache(self._header, used, room, self._strategy, self._homes)
            self._mixture, self._experts = Mixture(cache, self._ggml), cache.matrices
            self._awaited |= {each.tensor: each for each in self._experts}
        table = used.get(EMBEDDING)
        if self._residency.embedding_on_disk and table and table not in viewed:
            rows, fields = self._header.vocabulary, self._ggml.fields
            self._embedding = EmbeddingRows(table, rows, self._homes, fields, EMBEDDING_BYTES)
            self._awaited[table.tensor] = table
        there = self._arrivals.matrices.union(self._awaited.values())
        self._homes.fill([each for each in used.values() if each not in there], on_progress)
        arriving = self._arrivals.attach(used.values(), viewed, on_progress)
        self._awaited |= {each.tensor: each for each in arriving}
        for file in self._files:
            file.forget()
        self._ahead.set_order(streamed)

    def settle(self, stopped: Callable[[], bool]) -> None:
        """After the context made its first graphs: keep the weights that others look into.

        `stopped` says that nobody will look at what is computed. Raises StreamingUnavailable.
        """
        if self._mixture is not None:
            self._mixture.cache.stopped = stopped
        for matrix in self._tensors.viewed & set(self._awaited.values()):
            if matrix in self._arrivals.pending:
                self._arrive(matrix)
                continue
            if matrix in self._experts:
                raise StreamingUnavailable(detail=f"others look into {matrix.name}")
            log.engine.debug("%s stays in memory: others look into it", matrix.name)
            self._homes.fill([matrix], lambda _fraction: True)
            self._keep(matrix)

    # ---- the computation --------------------------------------------------------------------

    def _on_node(self, node: int, ask: bool, _user_data: int | None) -> bool:
        """Called for every node before a stretch of the graph, and once behind the stretch."""
        try:
            if not ask:
                self._computed()
                return True
            # A thousand times a token, mostly in vain: `word_at` is written out.
            matrix = self._awaited.get(WORDS[(node + self._source) >> 3])
            if matrix is not None:
                return self.failure is None and self._need(node, matrix)
            mixture = self._mixture
            return mixture is not None and self.failure is None and mixture.stops_at(node)
        except Exception as error:  # noqa: BLE001 - must not cross C; the context raises it
            self.failure = error
            self.on_failure()
            return False

    def _need(self, node: int, matrix: Matrix) -> bool:
        """Have the weight in place; True to compute now."""
        if matrix in self._arrivals.pending:
            self._arrive(matrix)
            return not self._arrivals.done
        if self._embedding is not None and matrix is self._embedding.matrix:
            self._embedding.fetch(node)
            return False
        if matrix in self._seen:
            self._passed()
        self._seen[matrix] = None
        if matrix in self._tensors.viewed:
            raise RuntimeError(f"{matrix.name} was moved while others look into it")
        taken = None
        if self._mixture is None or matrix not in self._experts:
            taken = self._ahead.take(matrix)
        elif self._mixture.serve(node, matrix):
            return False
        if taken is None:
            taken = self._loans.read(matrix), True
        set_word(matrix.tensor + self._data, taken[0])
        self._group.append(matrix)
        return taken[1]

    def _arrive(self, matrix: Matrix) -> None:
        """Wait for a weight that is on its way home."""
        self._arrivals.wait_for(matrix)
        del self._awaited[matrix.tensor]

    def _computed(self) -> None:
        """The weights taken so far were used."""
        if self._growing:
            self._keep_group()
        if self._loans.lent:
            self._loans.end(self._awaited)
        self._group.clear()
        self._ahead.release()
        if self._mixture is not None:
            self._mixture.computed()

    def _keep_group(self) -> None:
        """Of the weights taken so far, those that shall stay."""
        for matrix in self._growing.intersection(self._group):
            home, here = self._homes.address(matrix), word_at(matrix.tensor + self._data)
            if here != home:
                self._homes.keep(matrix, here)
            self._keep(matrix)

    def _keep(self, matrix: Matrix) -> None:
        """The weight is at its home from now on."""
        set_word(matrix.tensor + self._data, self._homes.address(matrix))
        del self._awaited[matrix.tensor]
        self._growing.discard(matrix)
        if matrix is (self._embedding and self._embedding.matrix):
            self._embedding = None

    def _passed(self) -> None:
        """All layers were computed once: from now on read in the order that was seen."""
        self._passes += 1
        seen = [each for each in self._seen if each not in self._experts]
        self._misses += len(seen)
        self._hits += len(self._tensors.by_address) - len(self._awaited)
        order = [each for each in seen if each.tensor in self._awaited]
        self._seen.clear()
        if order != self._ahead.order:
            self._ahead.set_order(order)

    def broken_off(self) -> Exception | None:
        """The pass ended in the middle: begin the next one from its start. Why, if we know."""
        failure, self.failure = self.failure, None
        self._group.clear()
        self._seen.clear()
        self._loans.end(self._awaited)
        if self._mixture is not None:
            self._mixture.restart()
        self._ahead.restart(pause=failure is not None)
        return failure

    # ---- the budget -------------------------------------------------------------------------

    def set_weights_budget(self, mib: float) -> None:
        """From any thread; in force with the next `apply`. Raises ResidencyTooSmall."""
        self._wanted = plan_residency(self._header, mib, chunk_bytes=self._chunk_bytes)

    def apply(self) -> None:
        """Between two computations: take up a changed budget.

        A smaller one takes effect at once. For a larger one weights stay when they come by.
        """
        residency, self._wanted = self._wanted, None
        if residency is None:
            return
        for matrix in self._arrivals.pending.copy():
            self._arrive(matrix)
        self._residency = residency
        self._computed()
        wanted = self._to_stream()
        self._growing = set(self._streamed()) - set(wanted)
        for matrix in wanted:
            if matrix.tensor not in self._awaited:
                self._awaited[matrix.tensor] = matrix
                self._homes.discard(*matrix.range)
        if residency.ring_bytes != self._ahead.ring_bytes:
            self._ahead.resize(residency.ring_bytes)
        if self._mixture is not None:
            self._mixture.resize(residency.experts_bytes)
        rank = {name: n for n, name in enumerate(streamable(self._header))}
        self._seen.clear()
        self._ahead.set_order(sorted(self._streamed(), key=lambda each: rank[each.name]))

    def close(self) -> None:
        """After context and model are gone."""
        self._arrivals.stop()
        self._ahead.close()
        if self._mixture is not None:
            self._mixture.cache.close()
        self._homes.close()
        for file in self._files:
            file.close()
        self._type.close()


__all__ = ["StreamedWeights", "WeightsStats", "WeightsUnreadableError"]
