"""A model's weights between memory and disk while it is loaded and while it computes.

The engine hands its model `overrides`, its context `eval_callback`. That is native: before each
node of the graph it sees by the node's operand which weight is needed, and waits for it in the ring
(`weights.node_watch`); what is not the ring's it asks for here. Nothing depends on names or kinds
of nodes; the order in which weights are needed is learned from the first pass, and a wrong guess
costs time, not truth. A mixture's experts are fetched once it is known which of them are needed
(`weights.mixture`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.account import Account
from deepseek_r1.weights.arrivals import Arrivals, by_need
from deepseek_r1.weights.embedding import EmbeddingRows
from deepseek_r1.weights.expert_cache import expert_cache
from deepseek_r1.weights.ggml import Ggml, set_word, word_at
from deepseek_r1.weights.ggml_buffer import BufferType
from deepseek_r1.weights.homes import Homes, Loans
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.mixture import Mixture
from deepseek_r1.weights.node_watch import NodeWatch
from deepseek_r1.weights.read_ahead import ReadAhead
from deepseek_r1.weights.reader import WeightsUnreadableError, open_files
from deepseek_r1.weights.residency import (
    CHUNK_BYTES,
    EMBEDDING,
    EMBEDDING_BYTES,
    Residency,
    plan_residency,
    streamable,
)
from deepseek_r1.weights.stats import WeightsStats
from deepseek_r1.weights.tensors import ModelTensors


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
        self.ggml = Ggml(handle)
        self._tensors = ModelTensors(self.ggml, header)
        self._type = BufferType(self.ggml, self._tensors.hear)
        self._files = open_files(header.parts, direct=direct, chunk_bytes=chunk_bytes)
        self._homes = Homes(self._files)
        self._ahead = ReadAhead(self._files, self._residency.ring_bytes)
        self._embedding: EmbeddingRows | None = None
        self._mixture: Mixture | None = None
        self._experts: frozenset[Matrix] = frozenset()
        self._growing: set[Matrix] = set()  # to be kept when they come by next
        self._loans = Loans(self._homes)
        self._given_mib, self._lent_mib, self._moved = weights_mib, 0.0, False
        self._tokens_at_once = self._residency.tokens_at_once
        self._watch = NodeWatch(self._ahead, self.ggml.fields, self._on_node, self._on_pass)
        pinned = self._tensors.named(self._residency.pinned)
        self._arrivals = Arrivals(self._homes, *by_need(header, pinned))
        self._account = Account(
            self._tensors, self._watch, self._ahead, self._loans, self._arrivals
        )
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def overrides(self) -> int:
        """Address of the model's `tensor_buft_overrides`."""
        return self._type.overrides

    @property
    def eval_callback(self) -> int:
        """Address of the context's `cb_eval`; its user data is `eval_user_data`."""
        return self._watch.callback

    @property
    def eval_user_data(self) -> int:
        """Address of the context's `cb_eval_user_data`."""
        return self._watch.user_data

    @property
    def tokens_at_once(self) -> int:
        """How many tokens may be computed together; 0 for any number."""
        return self._tokens_at_once

    @property
    def stats(self) -> WeightsStats:
        """The counters now."""
        told = self._account.stats(self._experts, self._embedding)
        mixture, reads_mib = self._mixture, self._residency.expert_reads_mib
        return told if mixture is None else mixture.added(told, reads_mib)

    def _to_stream(self) -> list[Matrix]:
        """What has to be streamed by the plan, as far as it can be moved."""
        used = self._tensors.by_name
        planned = [used[name] for name in self._residency.streamed if name in used]
        return [each for each in planned if each not in self._tensors.viewed]

    # ---- the load ---------------------------------------------------------------------------

    def attach(self, on_progress: Callable[[float], bool]) -> None:
        """After llama.cpp's own load: begin to read what is streamed.

        Of what is pinned, matrices may still be on their way: the callback waits for them. The
        rest is there. Raises StreamingUnavailable, LoadStopped, WeightsUnreadableError.
        """
        self._tensors.place(self._homes)
        used, viewed = self._tensors.by_name, self._tensors.viewed
        streamed = self._to_stream()
        for each in streamed:
            self._watch.add(each, streamed=True)
        if room := self._residency.experts_bytes:
            cache = expert_cache(self._header, used, room, self._strategy, self._homes)
            self._mixture, self._experts = Mixture(cache, self.ggml), cache.matrices
            for each in self._experts:
                self._watch.add(each, streamed=False)
        table = used.get(EMBEDDING)
        if self._residency.embedding_on_disk and table and table not in viewed:
            rows, fields = self._header.vocabulary, self.ggml.fields
            self._embedding = EmbeddingRows(table, rows, self._homes, fields, EMBEDDING_BYTES)
            self._watch.add(table, streamed=False)
        there = self._arrivals.matrices.union(self._watch.matrices)
        self._homes.fill([each for each in used.values() if each not in there], on_progress)
        arriving = self._arrivals.attach(used.values(), viewed, on_progress)
        for each in arriving:
            self._watch.add(each, streamed=False)
        for file in self._files:
            file.forget()
        self._ahead.set_order(streamed)
        self._show()

    def settle(self, stopped: Callable[[], bool]) -> None:
        """After the context made its first graphs: keep the weights that others look into.

        `stopped` says that nobody will look at what is computed. Raises StreamingUnavailable.
        """
        if self._mixture is not None:
            self._mixture.cache.stopped = stopped
        self._tensors.on_viewed = self._on_viewed
        for matrix in self._tensors.viewed.intersection(self._watch.matrices):
            if matrix in self._arrivals.pending:
                self._arrive(matrix)
                continue
            if matrix in self._experts:
                raise StreamingUnavailable(detail=f"others look into {matrix.name}")
            log.engine.debug("%s stays in memory: others look into it", matrix.name)
            self._homes.fill([matrix], lambda _fraction: True)
            self._keep(matrix)

    # ---- the computation --------------------------------------------------------------------

    def _on_node(self, node: int, ask: int) -> int:
        """What the native callback leaves to us."""
        try:
            if not ask:
                self._computed()
                return True
            if self.failure is not None:
                return False
            matrix = self._watch.needed_by(node)
            if matrix is not None:
                return self._need(node, matrix)
            return self._mixture is not None and self._mixture.stops_at(node)
        except Exception as error:  # noqa: BLE001 - must not cross C; the context raises it
            self._fail(error)
            return False

    def _on_pass(self) -> int:
        try:
            self._passed()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)
            return False
        return True

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.on_failure()

    def _need(self, node: int, matrix: Matrix) -> bool:
        """Have the weight in place; True to compute now."""
        if matrix in self._arrivals.pending:
            self._arrive(matrix)
            return not self._arrivals.done
        if self._embedding is not None and matrix is self._embedding.matrix:
            self._embedding.fetch(node)
            return False
        if matrix in self._tensors.viewed:
            raise RuntimeError(f"{matrix.name} was moved while others look into it")
        if self._mixture is None or matrix not in self._experts:
            self._ahead.raise_failure()  # else it was not on its way
        elif not self._watch.see(matrix) or self._mixture.serve(node, matrix):
            return False
        set_word(matrix.tensor + self.ggml.fields.data, self._loans.read(matrix))
        self._show()
        return True

    def _on_viewed(self, matrix: Matrix) -> None:
        """A graph looks into a weight: if one that is streamed, its next use is an error."""
        if matrix in self._watch:
            self._watch.add(matrix, streamed=False)

    def _arrive(self, matrix: Matrix) -> None:
        """Wait for a weight that is on its way home."""
        self._arrivals.wait_for(matrix)
        self._watch.remove(matrix)

    def _show(self) -> None:
        """Let the native callback ask for as little as there is to decide."""
        mixture = self._mixture
        whole = mixture is not None and not mixture.told_apart
        self._watch.show(
            whole_numbers=mixture is not None and mixture.told_apart,
            ends=whole or bool(self._growing or self._loans.lent),
        )

    def _computed(self) -> None:
        """The weights taken so far were used."""
        if self._growing:
            self._keep_some([*self._ahead.taken, *self._loans.lent])
        self._loans.end(self._watch)
        self._ahead.release()
        if self._mixture is not None:
            self._mixture.computed()
        self._show()

    def _keep_some(self, used: list[Matrix]) -> None:
        """Of these weights, which are in memory, those that shall stay."""
        for matrix in self._growing.intersection(used):
            here = word_at(matrix.tensor + self.ggml.fields.data)
            if here != self._homes.address(matrix):
                self._homes.keep(matrix, here)
            self._keep(matrix)

    def _keep(self, matrix: Matrix) -> None:
        """The weight is at its home from now on."""
        set_word(matrix.tensor + self.ggml.fields.data, self._homes.address(matrix))
        self._watch.remove(matrix)
        self._growing.discard(matrix)
        if matrix is (self._embedding and self._embedding.matrix):
            self._embedding = None

    def _passed(self) -> None:
        """All layers were computed once: from now on read in the order that was seen."""
        matrices = self._tensors.by_address
        needed = [matrices[tensor] for tensor in self._watch.begin_pass()]
        seen = [each for each in needed if each not in self._experts]
        self._account.passed(len(seen))
        order = [each for each in seen if each in self._watch]
        if order != self._ahead.order:
            self._ahead.set_order(order)

    def broken_off(self) -> Exception | None:
        """The pass ended in the middle: begin the next one from its start. Why, if we know."""
        failure, self.failure = self.failure, None
        self._watch.begin_pass()
        self._loans.end(self._watch)
        if self._mixture is not None:
            self._mixture.restart()
        self._ahead.restart(pause=failure is not None)
        self._show()
        return failure

    # ---- the budget -------------------------------------------------------------------------

    def set_weights_budget(self, mib: float) -> None:
        """From any thread; in force with the next `apply`. Raises ResidencyTooSmall."""
        self._plan(mib)
        self._given_mib, self._moved = mib, True

    def lend(self, mib: float) -> None:
        """Memory of others that weights may have until they are lent less; in force as above."""
        if mib != self._lent_mib:
            self._lent_mib, self._moved = mib, True

    def _plan(self, mib: float) -> Residency:
        return plan_residency(self._header, mib, chunk_bytes=self._chunk_bytes)

    def apply(self) -> None:
        """Between two computations: take up a changed budget.

        A smaller one takes effect at once. For a larger one weights stay when they come by, once
        those are there that were to stay before.
        """
        if not self._moved:
            return
        given_mib = self._given_mib
        residency = self._plan(given_mib + self._lent_mib)
        grows = residency.pinned_mib > self._residency.pinned_mib
        if grows and self._arrivals.pending and not self._arrivals.done:
            return
        self._moved = given_mib != self._given_mib  # once more, by another thread
        # How many tokens are computed together must not depend on how long a conversation is.
        self._tokens_at_once = self._plan(given_mib).tokens_at_once
        for matrix in self._arrivals.pending.copy():
            self._arrive(matrix)
        self._residency = residency
        self._computed()
        wanted = self._to_stream()
        self._growing = set(self._account.streamed(self._experts)) - set(wanted)
        for matrix in wanted:
            if matrix not in self._watch:
                self._watch.add(matrix, streamed=True)
                self._homes.discard(*matrix.range)
        if residency.ring_bytes != self._ahead.ring_bytes:
            self._ahead.resize(residency.ring_bytes)
        if self._mixture is not None:
            self._mixture.resize(residency.experts_bytes)
        rank = {name: n for n, name in enumerate(streamable(self._header))}
        self._watch.begin_pass()
        self._ahead.set_order(
            sorted(self._account.streamed(self._experts), key=lambda each: rank[each.name])
        )
        self._show()

    def close(self) -> None:
        """After context and model are gone."""
        self._arrivals.stop()
        self._watch.close()
        self._ahead.close()
        if self._mixture is not None:
            self._mixture.cache.close()
        self._homes.close()
        for file in self._files:
            file.close()
        self._type.close()


__all__ = ["StreamedWeights", "WeightsStats", "WeightsUnreadableError"]
