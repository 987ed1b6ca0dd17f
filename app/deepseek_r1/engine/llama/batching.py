"""Schedules several answers in one KV cache.

Each step computes one token of every answer that is being written and pieces of prompts, in one
pass over the weights. Decode is bound by reading the weights, from memory or from the disk, so
several answers take little longer than one. The pieces are small while others write, so that these
go on (`PrefillShare`). Short prompts share a step.

An answer that ends leaves its cells behind: the next prompt that begins like it shares them. They
go when they are needed, or when they have cost more time than they may save (`IdleCells`). Where
cells run out, the answers that came last wait, and are computed again from their tokens; the oldest
one always goes on.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import FinishReason, GenerationEvent, PrefillProgress
from deepseek_r1.core.messages import AnswerRequest, PromptInput
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.engine.llama.answer.answer import AnswerParts, BatchedAnswer
from deepseek_r1.engine.llama.binding.context import AbortedError, BatchToken
from deepseek_r1.engine.llama.prefill import LEAST_TOKENS, PrefillShare
from deepseek_r1.engine.llama.sequence_cells import IdleCells, SequenceCells
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.engine.prompt.prompt_builder import common_length

LEAST_MEASURED = 16  # tokens of a prompt whose time is measured
SPARE_CELLS = 32  # for each answer when another one is admitted
BatchEvent = tuple[int, GenerationEvent]  # the key of the answer first


class _Planned(NamedTuple):
    """The tokens of one answer in a step."""

    answer: BatchedAnswer
    first: int  # of its tokens
    length: int
    logits: bool


class SequenceBatch:
    """Implements `engine.interface.AnswerBatch` with the sequences of one context.

    Owns the context while it has answers. For the computing thread.
    """

    def __init__(self, parts: AnswerParts) -> None:
        self._parts, self._computing = parts, parts.computing
        self._context, model = parts.computing.context, parts.model
        params = self._context.params
        self._capacity = params.context_length
        self._cells = SequenceCells(self._context, params.sequences, reuses=model.can_truncate)
        self._running: list[BatchedAnswer] = []  # the oldest first
        self._waiting: deque[BatchedAnswer] = deque()
        self._idle_cells = IdleCells(self._cells, model.attention_heads)
        self._token_s = 0.0  # of prefill, measured
        self._prefill_share = PrefillShare()
        self._turn = 0

    @property
    def busy(self) -> bool:
        return bool(self._running or self._waiting)

    @property
    def answers(self) -> tuple[BatchedAnswer, ...]:
        """The answers, those that are computed first."""
        return (*self._running, *self._waiting)

    def add(self, key: int, request: AnswerRequest, index: int = 0) -> None:
        """Take a request; `index` distinguishes several answers to one."""
        self._waiting.append(BatchedAnswer(self._parts, key, request, index))

    def cancel(self, key: int) -> None:
        for answer in self.answers:
            if answer.key == key:
                answer.cancelled = True
                self._context.abort.set()

    def end_thinking(self, key: int) -> None:
        for answer in self.answers:
            if answer.key == key:
                answer.end_thinking()

    def step(self) -> list[BatchEvent]:
        """Compute once, and return what came of it. Raises EngineFailed."""
        events = self._end_cancelled()
        events += self._admit()
        plan = self._plan()
        if not plan:
            return events
        try:
            self._computing.poll()  # may read weights: that is no part of the step
            began = time.perf_counter()
            self._context.compute_batch(list(self._rows(plan)))
        except AbortedError:
            self._undo(plan)
            self._context.abort.clear()
            if self._computing.cancelled:
                for answer in self.answers:
                    answer.cancelled = True
            return events + self._end_cancelled()
        except BaseException:
            self._undo(plan)
            raise
        return events + self._on_computed(plan, time.perf_counter() - began)

    def drop_all(self) -> list[BatchEvent]:
        """Forget all answers after a failure; returns the events of their text so far."""
        events: list[BatchEvent] = []
        for answer in self.answers:
            events += [(answer.key, event) for event in answer.output.finish(cut=True)]
            answer.samplers.close()
        for answer in self._running:
            self._release(answer)
        self._running.clear()
        self._waiting.clear()
        return events

    # ---- admission ------------------------------------------------------------------------------

    def _idle(self) -> list[int]:
        """Return the sequences of no running answer, the longest unused first."""
        taken = {answer.sequence for answer in self._running}
        free = (i for i in range(len(self._cells.tokens)) if i not in taken)
        age = self._idle_cells.age
        return sorted(free, key=lambda i: (bool(self._cells.tokens[i]), -age(i)))

    def _admit(self) -> list[BatchEvent]:
        events: list[BatchEvent] = []
        while self._waiting and (idle := self._idle()):
            answer = self._waiting[0]
            source, shared = self._cells.longest_prefix(answer.tokens[:-1])
            if self._is_being_read(answer, shared):
                break
            if self._running:
                needed = len(answer.tokens) - shared + SPARE_CELLS * (len(self._running) + 1)
                others = [each for each in idle if each != source or not shared]
                if needed > self._free + self._cells.freed_by(others):
                    break
            self._waiting.popleft()
            self._take_sequence(answer, source, shared, idle)
            if not answer.admitted:
                answer.admitted = True
                answer.output.cached_tokens = shared
                total = answer.prompt_length
                events.append(
                    (answer.key, PrefillProgress(done=shared, total=total, cached=shared))
                )
        if events:  # afterwards: a prompt that came may continue even stale cells
            self._drop_stale()
        return events

    def _is_stale(self, sequence: int) -> bool:
        """Return whether cells cost too much; those that a waiting prompt continues never do."""
        prompts = (answer.tokens[:-1] for answer in self._waiting)
        if any(self._idle_cells.is_continued_by(sequence, prompt) for prompt in prompts):
            return False
        return self._idle_cells.is_stale(sequence, self._token_s)

    def _drop_stale(self) -> None:
        for sequence in self._idle():
            if self._is_stale(sequence):
                self._drop(sequence)

    def _drop(self, sequence: int) -> None:
        if self._cells.tokens[sequence]:
            self._idle_cells.on_dropped(sequence)
            self._cells.truncate(sequence, 0)

    def _is_being_read(self, answer: BatchedAnswer, shared: int) -> bool:
        """Return whether a running prompt is about to have more of the answer's beginning."""
        for other in self._running:
            held = self._held(other)
            if held < len(other.tokens) - 1:
                common = common_length(other.tokens, answer.tokens[:-1])
                if common > max(held, shared + LEAST_TOKENS):
                    return True
        return False

    def _take_sequence(
        self, answer: BatchedAnswer, source: int, shared: int, idle: list[int]
    ) -> None:
        """Give the answer a sequence that begins with `shared` tokens of `source`."""
        prompt = answer.tokens[:-1]
        continues = source in idle and self._idle_cells.is_continued_by(source, prompt)
        if not answer.admitted:
            self._idle_cells.on_prompt(answer.tokens, continues=continues)
        stale = source in idle and shared > 0 and self._is_stale(source)
        if continues or stale or idle == [source]:
            answer.sequence = source
        else:
            answer.sequence = next(i for i in idle if i != source or not shared)
        if not continues:
            self._idle_cells.on_dropped(answer.sequence)
        if answer.sequence == source:
            self._cells.truncate(source, shared)
        else:
            self._cells.share(source, answer.sequence, shared)
        self._running.append(answer)

    def _release(self, answer: BatchedAnswer) -> None:
        self._idle_cells.on_released(answer.sequence, answer.prompt_length)
        if not self._cells.reuses:
            self._cells.truncate(answer.sequence, 0)
        answer.sequence = -1

    # ---- the plan of a step ---------------------------------------------------------------------

    def _plan(self) -> list[_Planned]:
        """Choose the tokens of the next computation, and free cells for them."""
        while self._running:
            plan = self._within(self._context.max_batch_tokens)
            needed = sum(planned.length for planned in plan)
            while needed > self._free and self._evict_idle():
                pass
            if needed <= self._free:
                return plan
            short = self._within(self._free) if self._free else []
            if any(planned.answer is self._running[0] for planned in short):
                return short
            if len(self._running) == 1:
                raise EngineFailed(detail="the context is full")
            self._preempt()
        return []

    @property
    def _free(self) -> int:
        return self._capacity - self._cells.used

    def _within(self, most: int) -> list[_Planned]:
        """Plan at most `most` tokens: one of each answer that is written, and pieces of prompts.

        Where there is no room for all of them, they take turns.
        """
        self._turn += 1
        writing = [each for each in self._running if len(each.tokens) - self._held(each) == 1]
        reading = [each for each in self._running if each not in writing]
        reading.sort(key=lambda each: not each.begun)  # forced tokens of an answer come first
        for_reading = int(bool(reading) and (most > 1 or self._turn % 2 == 1))
        rows = most - for_reading
        if len(writing) > rows:
            start = self._turn % len(writing)
            writing = (writing[start:] + writing[:start])[:rows]
        plan = [_Planned(each, self._held(each), 1, logits=True) for each in writing]
        return plan + self._pieces(reading, most - len(plan), alone=not plan)

    def _pieces(self, reading: list[BatchedAnswer], most: int, *, alone: bool) -> list[_Planned]:
        """Plan pieces of prompts: of the oldest, and of the next ones where more fits in.

        `alone`: no answer is written meanwhile, so nobody waits for the oldest prompt's step.
        """
        pieces: list[_Planned] = []
        share = min(most, self._prefill_share.tokens)
        left = most if alone else share
        for answer in reading:
            first, length = self._held(answer), len(answer.tokens)
            piece = min(left, length - first)
            if piece <= 0 or (pieces and piece < min(LEAST_TOKENS, length - first)):
                break
            pieces.append(_Planned(answer, first, piece, first + piece == length))
            left = min(left, share) - piece
        return pieces

    def _held(self, answer: BatchedAnswer) -> int:
        return len(self._cells.tokens[answer.sequence])

    def _evict_idle(self) -> bool:
        for sequence in self._idle():
            if self._cells.tokens[sequence]:
                self._drop(sequence)
                return True
        return False

    def _preempt(self) -> None:
        """Let the answer that came last wait, and free its cells."""
        answer = self._running.pop()
        self._cells.truncate(answer.sequence, 0)
        self._release(answer)
        self._waiting.appendleft(answer)

    # ---- the computation ------------------------------------------------------------------------

    def _rows(self, plan: list[_Planned]) -> Iterator[BatchToken]:
        for answer, first, length, logits in plan:
            for at in range(first, first + length):
                last = at == first + length - 1
                yield BatchToken(answer.tokens[at], at, answer.sequence, logits and last)

    def _undo(self, plan: list[_Planned]) -> None:
        for planned in plan:
            self._cells.truncate(planned.answer.sequence, planned.first)
        self._context.batched_cells = self._cells.used

    def _on_computed(self, plan: list[_Planned], seconds: float) -> list[BatchEvent]:
        events: list[BatchEvent] = []
        if self._idle_cells.on_computed(sum(planned.length for planned in plan)):
            self._drop_stale()
        self._observe_prefill(plan, seconds)
        row = -1  # in the batch, which is how llama.cpp counts outputs
        for answer, first, length, logits in plan:
            row += length
            self._cells.append(answer.sequence, answer.tokens[first : first + length])
            if length > 1 or not answer.begun:
                events += self._on_prefilled(answer, seconds)
            if logits:
                events += self._on_logits(answer, row)
        self._context.batched_cells = self._cells.used
        return events

    def _observe_prefill(self, plan: list[_Planned], seconds: float) -> None:
        prompts = [each.length for each in plan if each.length > 1 or not each.answer.begun]
        alone = len(prompts) == len(plan)
        self._prefill_share.observe(sum(prompts), seconds, alone=alone)
        if alone and sum(prompts) >= LEAST_MEASURED:
            self._token_s = seconds / sum(prompts)

    def _on_prefilled(self, answer: BatchedAnswer, seconds: float) -> list[BatchEvent]:
        if answer.begun:  # it was preempted
            return []
        answer.output.prefill_s += seconds
        done, total = self._held(answer), answer.prompt_length
        cached = answer.output.cached_tokens
        progress = PrefillProgress(done=min(done, total), total=total, cached=cached)
        return [(answer.key, progress)]

    def _on_logits(self, answer: BatchedAnswer, row: int) -> list[BatchEvent]:
        events, reason = answer.on_logits(row)
        named: list[BatchEvent] = [(answer.key, event) for event in events]
        return named + (self._finish(answer, reason) if reason is not None else [])

    # ---- ends -----------------------------------------------------------------------------------

    def _finish(self, answer: BatchedAnswer, reason: FinishReason) -> list[BatchEvent]:
        used = len(answer.tokens)
        if answer in self._running:
            self._running.remove(answer)
            self._release(answer)
        else:
            self._waiting.remove(answer)
        answer.samplers.close()
        return [(answer.key, event) for event in answer.finish(reason, used)]

    def _end_cancelled(self) -> list[BatchEvent]:
        events: list[BatchEvent] = []
        for answer in self.answers:
            if answer.cancelled:
                events += self._finish(answer, FinishReason.CANCELLED)
        return events


def answer_all(
    batch: SequenceBatch, prompts: Sequence[PromptInput], sampling: SamplingSettings
) -> list[GenerationResult]:
    """Return an answer to each prompt, in their order.

    Raises PromptTooLong and WrongUsage before any work, EngineFailed.
    """
    collectors = [ResultCollector() for _ in prompts]
    try:
        for index, messages in enumerate(prompts):
            batch.add(index, AnswerRequest(messages, sampling), index=index)
        while batch.busy:
            for index, event in batch.step():
                collectors[index].add(event)
    except BaseException:
        batch.drop_all()
        raise
    return [collector.result() for collector in collectors]
