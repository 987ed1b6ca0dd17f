"""Decides for each answer whether tokens are drafted, and whether a draft model has to go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from deepseek_r1.core import log
from deepseek_r1.core.errors import DraftUnfit
from deepseek_r1.core.heap import trim_heap
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode, SamplingSettings
from deepseek_r1.engine.interface import OpenRequest
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.speculative.draft_model import DraftModel
from deepseek_r1.engine.llama.speculative.prompt_lookup import PromptLookup
from deepseek_r1.engine.llama.speculative.proposer import PassTimes, Proposer
from deepseek_r1.engine.llama.speculative.verify import SpeculativeDecoder
from deepseek_r1.memory.forecast import UNHIDDEN_SHARE, unhidden_compute_s
from deepseek_r1.memory.load_plan import draft_kv_type
from deepseek_r1.memory.meter import unshared_mib
from deepseek_r1.memory.plan import AUTOMATIC_ROWS
from deepseek_r1.weights.residency import Residency

_LEAST_TOKENS = 32  # of an answer that says something about a draft model
_LEAST_PLAIN = 8  # measured passes without drafts, in this answer and those before it
_SLOWER = 1.1  # than without: less may be an error of the estimate, and what is freed stays away


class Drafting:
    """The drafting of one loaded model. For the computing thread.

    A pass of several tokens adds up in another order than a pass of one, so its last bits differ.
    So an answer that has to be reproducible is drafted only where drafts were chosen by name; the
    lengths of its drafts then depend on its text alone, never on the clock.
    """

    def __init__(self, request: OpenRequest, context: LlamaContext, memory: DraftMemory) -> None:
        """A draft model that the request names counts as drafts by name."""
        mode = request.settings.drafts
        if request.draft is not None or request.draft_released:
            mode = DraftMode.MODEL
        if not context.params.draft_tokens:  # its memory cannot go back by a few tokens
            mode = DraftMode.OFF
        self._context, self._memory = context, memory
        # Of a plain pass, what reading does not hide.
        self._compute_s = unhidden_compute_s(request.header, context.params.threads)
        self._streams = request.residency is not None
        self._mode = mode
        self._times = PassTimes(streams=self._streams)
        self._lookup = PromptLookup()
        self.was_slower = False
        """Whether the last answer was slower than without the draft model, which is freed then."""

    def free_slow_model(self) -> None:
        """Free a draft model with which the last answer was slower, before the next one."""
        if self.was_slower and self._memory.model is not None:
            self._memory.release()
            self._times = PassTimes(streams=self._streams)  # passes read less now

    def decoder(
        self, prompt: Sequence[int], sampling: SamplingSettings
    ) -> SpeculativeDecoder | None:
        """Return the speculative decoder of an answer to `prompt`; None for a plain answer."""
        automatic = self._mode is DraftMode.AUTO
        if self._mode is DraftMode.OFF or (automatic and sampling.reproducible):
            return None
        proposers: list[Proposer] = [self._lookup]  # it costs nothing
        if (model := self._memory.model) is not None:
            proposers.append(model)
        most, assumed = self._context.params.draft_tokens, None
        if sampling.reproducible:
            most = min(most, AUTOMATIC_ROWS - 1)  # what more rows take depends on the machine
            assumed = PassTimes(streams=self._streams)
        for proposer in proposers:
            proposer.begin(prompt, reproducible=sampling.reproducible)
        return SpeculativeDecoder(
            self._context,
            proposers,
            self._times,
            assumed,
            observed=len(prompt),
            most=most,
        )

    def end(self, decoder: SpeculativeDecoder) -> None:
        """End an answer, and note whether it was slower than without the draft model."""
        decoder.close()
        residency, without = self._memory.residencies
        if self._memory.model is None or residency is None or without is None:
            return
        if self._times.plain_passes < _LEAST_PLAIN:
            return  # what it is held against is not known well enough
        plain_s = undrafted_s(self._times.plain_s, self._compute_s, residency, without)
        self.was_slower = (
            decoder.tokens >= _LEAST_TOKENS and decoder.seconds > _SLOWER * decoder.tokens * plain_s
        )


def undrafted_s(
    plain_s: float, compute_s: float, residency: Residency, without: Residency
) -> float:
    """Return the seconds of a plain pass without the draft model, whose memory holds weights then.

    With it, a plain pass takes `plain_s`. Each reads what its residency streams, at the same rate,
    and takes `compute_s` beyond that; see `memory.forecast`.
    """
    share = without.streamed_mib / residency.streamed_mib if residency.streamed_mib else 1.0
    read_s = max(0.0, plain_s - compute_s)
    return min(plain_s, max(share * read_s + compute_s, compute_s / UNHIDDEN_SHARE))


class DraftMemory:
    """Owns a draft model, and the target's residencies: the one in force and that without it.

    Within the budget it displaces weights of the target, which are then read in every pass. So it
    has to bring more than drafting alone costs, or is freed.

    `set_residency`, `residencies` and `released` are for any thread, the rest for the computing
    one. A new budget may come while the draft model is freed: both residencies change together.
    """

    def __init__(
        self,
        model: DraftModel | None,
        residency: Residency | None,
        without: Residency | None,
        set_residency: Callable[[Residency], None],
        plan: Callable[[float], Residency],
    ) -> None:
        """`residency` is the target's, `without` the one for the time without the draft model.

        Both are None where the target is not streamed. `set_residency` puts a residency in force
        with the next computation; `plan` returns that of as many MiB.
        """
        self.model = model
        self._residency, self._without, self._set_residency = residency, without, set_residency
        self._plan = plan
        self._lock = threading.Lock()
        self.released = False
        self._kept_mib = 0.0  # of the freed draft model's memory, by the process

    @property
    def residencies(self) -> tuple[Residency | None, Residency | None]:
        """The target's residency in force and that without the draft model, both of one budget."""
        with self._lock:
            return self._residency, self._without

    def set_residency(self, residency: Residency, without: Residency | None) -> None:
        """Put the residency of a new budget in force: `without` once the draft model is freed."""
        with self._lock:
            if self.released:
                residency = self._less(residency if without is None else without, self._kept_mib)
            self._without = residency if self.released else without
            self._put_in_force(residency)

    def release(self) -> None:
        """Free the draft model. The next computation uses its memory for the target's weights.

        They get what the process gave back: an allocator may keep some of what was freed.
        """
        log.engine.info("the draft model is freed: answers are slower with it")
        before_mib = unshared_mib(os.getpid())
        self.close()
        trim_heap()  # a vocabulary is many small blocks, which the heap would keep
        returned_mib = before_mib - unshared_mib(os.getpid())
        with self._lock:
            self.released = True
            if self._residency is not None and self._without is not None:
                planned_mib = self._without.total_mib - self._residency.total_mib
                self._kept_mib = max(0.0, planned_mib - returned_mib)
                self._without = self._less(self._without, self._kept_mib)
                self._put_in_force(self._without)

    def _less(self, residency: Residency, mib: float) -> Residency:
        return self._plan(residency.total_mib - mib) if mib else residency

    def _put_in_force(self, residency: Residency) -> None:
        self._residency = residency
        self._set_residency(residency)

    def close(self) -> None:
        model, self.model = self.model, None
        if model is not None:
            model.close()


def open_draft(
    library: Library, request: OpenRequest, threads: tuple[int, int]
) -> DraftModel | None:
    """Load the draft model of a request; None where there is none. It is no part of the progress.

    Raises DraftUnfit, ModelLoadFailed, LoadStopped.
    """
    header, vocabulary = request.draft, request.vocabulary
    if header is None or vocabulary is None:
        return None
    model = LlamaModel(
        library,
        header.parts,
        lambda _fraction: request.on_progress(0.0),
        repack=request.times.repacks(header),
    )
    try:
        if not model.can_truncate:
            detail = tr("Tokens cannot be taken back from its memory.")
            raise DraftUnfit(draft=header.name, model=request.header.name, detail=detail)
        return DraftModel(
            library,
            model,
            vocabulary,
            kv_type=draft_kv_type(header),
            context_length=request.settings.context_length,
            threads=threads,
            kernel_rows=request.times.rows(header),
        )
    except BaseException:
        model.close()
        raise
