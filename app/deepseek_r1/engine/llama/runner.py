"""llama.cpp as an `Engine`: prefill, decode, and what may interrupt them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext

from deepseek_r1.core.errors import PromptTooLong
from deepseek_r1.core.events import (
    FinishReason,
    GenerationEvent,
    GenerationFinished,
    PrefillProgress,
)
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.answer import AnswerWriter
from deepseek_r1.engine.base import Answer, OpenRequest
from deepseek_r1.engine.llama.batch import BatchRun
from deepseek_r1.engine.llama.context import AbortedError, ContextShape, LlamaContext
from deepseek_r1.engine.llama.drafts import DraftPace
from deepseek_r1.engine.llama.library import library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.pace import PrefillPace
from deepseek_r1.engine.llama.passes import DraftedPasses
from deepseek_r1.engine.llama.pens import Pens
from deepseek_r1.engine.llama.room import context_memory, context_room
from deepseek_r1.engine.llama.streaming import small_budgets_told, streamed_weights
from deepseek_r1.engine.llama.stretch import Stretches
from deepseek_r1.engine.llama.threads import OthersLoad, ThreadGovernor
from deepseek_r1.engine.prompt import PromptBuilder
from deepseek_r1.engine.template import ChatTemplate
from deepseek_r1.hardware import default_threads, default_threads_prefill
from deepseek_r1.memory.meter import peak_mib
from deepseek_r1.memory.plan import DRAFT_TOKENS, WRITTEN_ROWS
from deepseek_r1.weights.streamed import WeightsStats


class LlamaEngine:
    """See `engine.base.Engine` for the contract and its threads."""

    def __init__(self, request: OpenRequest) -> None:
        """Load weights and make the context. Raises ModelRefused, EngineStartFailed."""
        self._library = library()
        template = ChatTemplate(request.header.template)
        settings = request.settings
        self._budget_mib = settings.memory_budget
        self._automatic = request.automatic_threads or (
            default_threads(),
            default_threads_prefill(),
        )
        self._threads = self._chosen(settings.threads, settings.threads_prefill)
        self._own_governor = ThreadGovernor(self._automatic[0], OthersLoad())
        self._governor = self._governor_for(settings.threads)
        self._weights = streamed_weights(self._library, request)
        try:
            self._model = LlamaModel(
                self._library, request.header.parts, self._alive(request), self._weights
            )
        except BaseException:
            self._close_weights()
            raise
        try:
            self._prompts = PromptBuilder(template, self._model)
            memory = context_memory(self._weights, request)
            self._context = LlamaContext(
                self._library,
                self._model,
                ContextShape(
                    context_length=settings.context_length,
                    micro_batch=settings.micro_batch,
                    kv_type=settings.kv_type,
                    sequences=request.sequences,
                    threads=self._threads[0],
                    threads_prefill=self._threads[1],
                    draft_tokens=DRAFT_TOKENS if self._weights is not None else 0,
                ),
                self._weights,
                memory,
            )
        except BaseException:
            self._model.close()
            self._close_weights()
            raise
        self._stretches = Stretches(self._library, self._model, self._context)
        self._measured = self._library.log.buffers_mib()
        self._room = context_room(memory, self._weights, request, self._library.log)
        self._wanted_threads = self._threads
        self._pace = PrefillPace(settings.micro_batch)
        self._drafts_pace = DraftPace()
        self.name = self._library.name
        self.reasons = template.reasons
        self.ignored: tuple[str, ...] = ()
        self.last_progress = time.monotonic()

    def _alive(self, request: OpenRequest) -> Callable[[float], bool]:
        def on_progress(fraction: float) -> bool:
            self.last_progress = time.monotonic()
            return request.on_progress(fraction)

        return on_progress

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for decode and prefill, in force now or with the next token."""
        governor, wanted = self._governor, self._wanted_threads
        return (wanted[0] if governor is None else governor.count), wanted[1]

    @property
    def context_used(self) -> int:
        """Tokens in the KV cache."""
        return self._context.used

    def measured_mib(self) -> Mapping[str, float]:
        """The sizes of llama.cpp's buffers; where weights are streamed, of their places."""
        if self._weights is None:
            return self._measured
        stats = self._weights.stats
        others = {name: mib for name, mib in self._measured.items() if name != "weights"}
        return others | {"pinned": stats.pinned_mib, "slots": stats.slots_mib}

    @property
    def weights_stats(self) -> WeightsStats | None:
        """The counters of streaming, from any thread."""
        return None if self._weights is None else self._weights.stats

    def set_weights_budget(self, mib: float) -> None:
        """From any thread; nothing to do where all weights are in memory."""
        if self._weights is not None:
            with small_budgets_told(self._budget_mib):
                self._weights.set_weights_budget(mib)

    def settle(self) -> None:
        """Take up a changed budget while nothing is computed."""
        if self._weights is not None:
            self._weights.apply()

    def limit_batch(self, tokens: int) -> None:
        """From any thread, for the next piece of a prompt."""
        self._context.batch_limit = max(1, min(tokens, self._context.shape.micro_batch))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt, what the template adds included."""
        return len(self._prompts.build(messages)[0])

    def cancel(self) -> None:
        """From any thread: raises the flag that every computation looks at."""
        self._context.abort.set()

    def forgive(self) -> None:
        """Lower the flag. Not while an answer is running."""
        self._context.abort.clear()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """From any thread; the running answer takes it up before its next computation."""
        self._wanted_threads = self._chosen(threads, threads_prefill)
        self._governor = self._governor_for(threads)

    def suit_threads(self, threads: int, threads_prefill: int) -> None:
        """Between two answers: the governor starts anew, below the measured count."""
        self._automatic = threads, threads_prefill
        self._own_governor = ThreadGovernor(threads, OthersLoad())
        self.set_threads(0, 0)

    def _chosen(self, threads: int, threads_prefill: int) -> tuple[int, int]:
        """0 becomes what suits this machine."""
        return threads or self._automatic[0], threads_prefill or self._automatic[1]

    def _governor_for(self, threads: int) -> ThreadGovernor | None:
        """Automatic threads are governed, chosen ones are not."""
        return self._own_governor if threads == 0 else None

    def close(self) -> None:
        """Free the context, then the model it was made from, then its weights."""
        self._context.close()
        self._model.close()
        self._close_weights()

    def _close_weights(self) -> None:
        if self._weights is not None:
            self._weights.close()
            self._weights = None

    # ---- one answer -------------------------------------------------------------------------

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        *,
        json_schema: str = "",
        text_every_s: float = 0.0,
    ) -> Iterator[GenerationEvent]:
        """Prefill what the cache does not hold yet, then decode."""
        started = time.perf_counter()
        prompt, opened = self._prompts.build(messages)
        if len(prompt) + 1 > self._context.shape.context_length:
            raise PromptTooLong(tokens=len(prompt), context=self._context.shape.context_length)
        writer = AnswerWriter(opened=opened, started=started, text_every_s=text_every_s)
        writer.prompt_tokens = len(prompt)
        self._own_governor.begin(started)
        pens = Pens(
            self._library,
            sampling,
            self._model,
            json_schema,
            opened=opened,
            reasons=self.reasons,
        )
        passes = self._passes(sampling)
        with closing(pens), closing(passes) if passes is not None else nullcontext():
            try:
                yield from self._prefill(prompt, writer)
                reason = yield from self._decode(pens, writer, sampling, passes)
            except AbortedError:
                reason = FinishReason.CANCELLED
            except Exception:
                yield from writer.finish()  # what was said before
                raise
        yield from writer.finish()
        yield GenerationFinished(
            stats=writer.stats(
                reason, context_used=self.context_used, seed=pens.seed, peak_mib=peak_mib()
            ).model_copy(update=passes.counted if passes is not None else {})
        )

    def _passes(self, sampling: SamplingSettings) -> DraftedPasses | None:
        """How an answer of a model that runs from the disk is drafted; None for one that is not.

        Several tokens computed at once are summed up in another order than one: an answer that
        must be the same again is not drafted.
        """
        if self._weights is None or sampling.reproducible or not self._model.forgets_ends:
            return None
        return DraftedPasses(self._context, self._drafts_pace)

    def complete_many(
        self, prompts: Sequence[Sequence[Message]], sampling: SamplingSettings
    ) -> list[Answer]:
        """See `engine.llama.batch`."""
        built = [self._prompts.build(messages) for messages in prompts]
        if self._room is not None:
            self._room.for_prompt(self._context.shape.context_length)
        run = BatchRun(self._library, self._model, self._context, sampling, self._breathe)
        return run.answers(built)

    def _prefill(self, prompt: list[int], writer: AnswerWriter) -> Iterator[PrefillProgress]:
        context, total = self._context, len(prompt)
        done = writer.cached_tokens = context.keep_prefix(prompt)
        if self._room is not None:
            self._room.for_prompt(total + WRITTEN_ROWS)
        yield PrefillProgress(done=done, total=total, cached=writer.cached_tokens)
        while done < total:
            self._breathe()
            chunk = prompt[done : done + min(self._pace.chunk(), context.most_tokens)]
            began = time.perf_counter()
            context.compute(chunk)
            seconds = time.perf_counter() - began
            self._pace.saw(len(chunk), seconds)
            writer.prefill_s += seconds
            done += len(chunk)
            yield PrefillProgress(done=done, total=total, cached=writer.cached_tokens)

    def _decode(
        self,
        pens: Pens,
        writer: AnswerWriter,
        sampling: SamplingSettings,
        passes: DraftedPasses | None,
    ) -> Generator[GenerationEvent, None, FinishReason]:
        """Sample and compute, a stretch of tokens or a pass with drafts at a time.

        llama.cpp shares long attention out among the threads, and the sum depends a little on
        their number: where the answer must be the same again, the number stays.
        """
        context, says = self._context, self._model.says
        sample = self._library.api.llama_sampler_sample
        native, room = context.pointer, context.shape.context_length
        max_tokens, governed = sampling.max_tokens, not sampling.reproducible
        token = sample(pens.chain, native, -1)
        if self._room is not None:  # not before the prompt, which would have to wait for it
            self._room.for_writing(len(context.cells) + WRITTEN_ROWS)
        if pens.undecided and not pens.thinks(token):
            token = sample(pens.chain, native, -1)
        while True:
            said = says(token)
            if events := writer.took(said):
                yield from events
            if said is None:
                return FinishReason.STOP
            if pens.waiting:
                pens.turn(writer)
            if writer.tokens >= max_tokens:
                return FinishReason.LENGTH
            if len(context.cells) >= room:
                return FinishReason.CONTEXT
            if passes is not None and passes.confirm(token):
                token = sample(pens.chain, native, passes.row)
                continue
            governor = self._governor if governed else None
            self._breathe(governor)
            if passes is not None:
                began = time.perf_counter()
                drafted = passes.compute(token)
                times_s = [] if drafted else [time.perf_counter() - began]
                token = sample(pens.chain, native, passes.row)
            else:
                here = room if self._room is None else min(room, self._room.cells)
                left = min(max_tokens - writer.tokens, here - len(context.cells)) - 1
                most = 0 if pens.waiting else left
                token = self._stretches.write(token, pens.chain, writer, most)
                times_s = self._stretches.times_s
            if governor is not None and times_s:
                governor.saw(times_s, time.perf_counter())

    def _breathe(self, governor: ThreadGovernor | None = None) -> None:
        """Between two computations: a sign of life, a stop, another budget, other threads."""
        self.last_progress = time.monotonic()
        if self._context.abort.raised:
            raise AbortedError
        if self._room is not None:
            self._room.reach(self._context.used + WRITTEN_ROWS)
        if self._weights is not None:
            self._weights.apply()
        wanted = self._wanted_threads
        if governor is not None:
            wanted = governor.count, wanted[1]
        if wanted != self._threads:
            self._threads = wanted
            self._context.set_threads(*wanted)
