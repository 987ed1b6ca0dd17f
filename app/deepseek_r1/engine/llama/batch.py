"""Several prompts answered together: one pass over the weights serves a token of each.

Decode waits for the weights to come from memory, so four answers at once take little longer
than one. The KV cache is shared: a prompt joins when its own tokens and the longest answer it may
get fit beside the others, and the next one takes the place of an answer that ended.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deepseek_r1.core.errors import PromptTooLong
from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.answer import AnswerCollector, AnswerWriter
from deepseek_r1.engine.base import Answer
from deepseek_r1.engine.llama.context import AbortedError, LlamaContext, Row
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.sampler import Sampler
from deepseek_r1.memory.meter import peak_mib

Prompt = tuple[list[int], bool]  # its tokens, and whether it opened a thinking block


@dataclass
class _Seat:
    """One answer on its way, in one sequence of the cache."""

    index: int
    sequence: int
    tokens: list[int]
    writer: AnswerWriter
    sampler: Sampler
    reserved: int  # cells it may come to need
    length: int = 0  # cells it has
    token: int = 0  # sampled, not computed yet
    collector: AnswerCollector = field(default_factory=AnswerCollector)


class BatchRun:
    """One call of `generate` with a list. For one thread, on a context nobody else uses now."""

    def __init__(
        self,
        library: Library,
        model: LlamaModel,
        context: LlamaContext,
        sampling: SamplingSettings,
        breathe: Callable[[], None],
    ) -> None:
        """`breathe` is called between two computations and raises AbortedError to stop."""
        self._library, self._model, self._context = library, model, context
        self._sampling, self._breathe = sampling, breathe
        self._room = context.shape.context_length
        self._seats: list[_Seat] = []
        self._waiting: deque[tuple[int, Prompt]] = deque()
        self._answers: dict[int, Answer] = {}
        self._started = time.perf_counter()

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """An answer to each prompt, in their order. Raises PromptTooLong before any work."""
        longest = max((len(tokens) for tokens, _ in prompts), default=0)
        if longest + 1 > self._room:
            raise PromptTooLong(tokens=longest, context=self._room)
        self._waiting.extend(enumerate(prompts))
        self._context.clear()
        try:
            while self._seats or self._waiting:
                self._admit()
                self._step()
        except AbortedError:
            self._give_up()
        finally:
            for seat in self._seats:
                seat.sampler.close()
            self._context.clear()
        return [self._answers[index] for index in range(len(prompts))]

    def _admit(self) -> None:
        while self._waiting and len(self._seats) < self._context.shape.sequences:
            index, (tokens, opened) = self._waiting[0]
            reserved = min(len(tokens) + self._sampling.max_tokens, self._room)
            if self._seats and sum(s.reserved for s in self._seats) + reserved > self._room:
                return
            self._waiting.popleft()
            self._sit_down(index, tokens, opened, reserved)

    def _sit_down(self, index: int, tokens: list[int], opened: bool, reserved: int) -> None:
        taken = {seat.sequence for seat in self._seats}
        sequence = next(i for i in range(self._context.shape.sequences) if i not in taken)
        seat = _Seat(
            index=index,
            sequence=sequence,
            tokens=tokens,
            writer=AnswerWriter(opened=opened, started=self._started),
            sampler=Sampler(self._library, self._sampling, self._model, index=index),
            reserved=reserved,
        )
        seat.writer.prompt_tokens = len(tokens)
        self._seats.append(seat)
        began = time.perf_counter()
        while seat.length < len(tokens):
            self._breathe()
            start = seat.length
            chunk = tokens[start : start + self._context.most_tokens]
            self._context.compute_rows(
                [
                    Row(token, start + i, sequence, wanted=False)
                    for i, token in enumerate(chunk[:-1])
                ]
                + [Row(chunk[-1], start + len(chunk) - 1, sequence, wanted=True)]
            )
            seat.length += len(chunk)
        seat.writer.prefill_s = time.perf_counter() - began
        self._sample(seat, -1)

    def _step(self) -> None:
        """One more token for everybody who is not done."""
        waiting = list(self._seats)
        while waiting:
            self._breathe()
            most = self._context.most_tokens
            seats, waiting = waiting[:most], waiting[most:]
            self._context.compute_rows(
                [Row(seat.token, seat.length, seat.sequence, wanted=True) for seat in seats]
            )
            for row, seat in enumerate(seats):
                seat.length += 1
                self._sample(seat, row)

    def _sample(self, seat: _Seat, row: int) -> None:
        seat.token = self._library.api.llama_sampler_sample(
            seat.sampler.pointer, self._context.pointer, row
        )
        said = self._model.says(seat.token)
        seat.collector.add(seat.writer.took(said))
        if said is None:
            self._stand_up(seat, FinishReason.STOP)
        elif seat.writer.tokens >= self._sampling.max_tokens:
            self._stand_up(seat, FinishReason.LENGTH)
        elif seat.length >= self._room:
            self._stand_up(seat, FinishReason.CONTEXT)

    def _stand_up(self, seat: _Seat, reason: FinishReason) -> None:
        self._seats.remove(seat)
        self._context.drop_sequence(seat.sequence, seat.length)
        seat.collector.add(seat.writer.finish())
        stats = seat.writer.stats(
            reason, context_used=seat.length, seed=seat.sampler.seed, peak_mib=peak_mib()
        )
        seat.sampler.close()
        self._answers[seat.index] = seat.collector.answer(stats)

    def _give_up(self) -> None:
        for seat in list(self._seats):
            self._stand_up(seat, FinishReason.CANCELLED)
        for index, (tokens, opened) in self._waiting:
            writer = AnswerWriter(opened=opened, started=self._started)
            writer.prompt_tokens = len(tokens)
            stats = writer.stats(
                FinishReason.CANCELLED, context_used=0, seed=0, peak_mib=peak_mib()
            )
            self._answers[index] = AnswerCollector().answer(stats)
