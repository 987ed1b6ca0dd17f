"""ctransformers as an `Engine`: the same contract, as far as that library goes."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from deepseek_r1.core.errors import PromptTooLong, WrongUsage
from deepseek_r1.core.events import (
    FinishReason,
    GenerationEvent,
    GenerationFinished,
    PrefillProgress,
)
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.answer import AnswerCollector, AnswerWriter
from deepseek_r1.engine.base import Answer, OpenRequest
from deepseek_r1.engine.legacy.library import library, version
from deepseek_r1.engine.legacy.model import MAX_SEED, LegacyModel
from deepseek_r1.engine.legacy.prompt import PlainPromptBuilder
from deepseek_r1.hardware import default_threads, default_threads_prefill
from deepseek_r1.memory import legacy_costs
from deepseek_r1.memory.meter import peak_mib, process_mib
from deepseek_r1.weights.streamed import WeightsStats

# Settings that mean nothing to the library.
IGNORED = (
    "micro_batch",
    "kv_type",
    "swap_enabled",
    "cache_strategy",
    "enable_chunk_loading",
    "chunk_size_kib",
    "min_p",
)
# Families whose context cannot be cut: tokens computed again behind a kept part come out wrong.
_FORGETFUL = frozenset({"falcon"})


class LegacyEngine:
    """See `engine.base.Engine` for the contract and its threads."""

    def __init__(self, request: OpenRequest) -> None:
        """Load the file. Raises ModelRefused, EngineStartFailed."""
        settings, self._header = request.settings, request.header
        self.last_progress = time.monotonic()
        before = process_mib(os.getpid())
        self._model = LegacyModel(
            library(),
            request.header,
            settings.context_length,
            legacy_costs.weights_mib(request.header),
            self._alive(request),
        )
        self._weights_mib = max(0.0, process_mib(os.getpid()) - before)
        self._prompts = PlainPromptBuilder(request.header, self._tokenize)
        measured = request.automatic_threads
        self._automatic = measured or (
            _spared(default_threads()),
            _spared(default_threads_prefill()),
        )
        self._threads = self._chosen(settings.threads, settings.threads_prefill)
        self._cells: list[int] = []
        self._most_at_once = legacy_costs.MOST_AT_ONCE
        self._stop = threading.Event()
        self.name = f"ctransformers {version()}".rstrip()
        self.reasons = False
        self.ignored: tuple[str, ...] = IGNORED

    def _alive(self, request: OpenRequest) -> Callable[[float], bool]:
        def on_progress(fraction: float) -> bool:
            self.last_progress = time.monotonic()
            return request.on_progress(fraction)

        return on_progress

    def _tokenize(self, text: str, *, begin: bool) -> list[int]:
        self.last_progress = time.monotonic()  # this library is slow at it
        return self._model.tokenize(text, begin=begin)

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for decode and prefill, in force with the next computation."""
        return self._threads

    @property
    def context_used(self) -> int:
        """Tokens in the context."""
        return len(self._cells)

    @property
    def weights_stats(self) -> WeightsStats | None:
        """All weights are in memory."""
        return None

    def set_weights_budget(self, mib: float) -> None:
        """There is nothing to change: all weights are in memory."""

    def settle(self) -> None:
        """There is nothing to take up."""

    def limit_batch(self, tokens: int) -> None:
        """From any thread, for the next piece of a prompt; the pieces are small anyway."""
        self._most_at_once = max(1, tokens)

    def measured_mib(self) -> Mapping[str, float]:
        """What the process grew by while the file was read."""
        return {"weights": self._weights_mib}

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt."""
        return len(self._prompts.build(messages))

    def cancel(self) -> None:
        """From any thread: ends the answer after the token that is computed now."""
        self._stop.set()

    def forgive(self) -> None:
        """Forget a `cancel` that came when nothing was running."""
        self._stop.clear()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """From any thread; in force with the next computation."""
        self._threads = self._chosen(threads, threads_prefill)

    def suit_threads(self, threads: int, threads_prefill: int) -> None:
        """What automatic means from now on."""
        self._automatic = threads, threads_prefill
        self.set_threads(0, 0)

    def _chosen(self, threads: int, threads_prefill: int) -> tuple[int, int]:
        """0 becomes what suits this machine."""
        return threads or self._automatic[0], threads_prefill or self._automatic[1]

    def close(self) -> None:
        """Free the model."""
        self._cells.clear()
        self._model.close()

    # ---- one answer -------------------------------------------------------------------------

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        *,
        json_schema: str = "",
        text_every_s: float = 0.0,
    ) -> Iterator[GenerationEvent]:
        """Read what the context does not hold yet, then write token by token."""
        if json_schema:
            raise WrongUsage(detail=tr("The engine of this old file cannot keep to a schema."))
        started = time.perf_counter()
        prompt = self._prompts.build(messages)
        if not prompt:
            raise WrongUsage(detail=tr("The question is empty."))
        if len(prompt) + 1 > self._model.context_length:
            raise PromptTooLong(tokens=len(prompt), context=self._model.context_length)
        writer = AnswerWriter(opened=False, started=started, text_every_s=text_every_s)
        writer.prompt_tokens = len(prompt)
        seed = secrets.randbelow(MAX_SEED) if sampling.seed < 0 else sampling.seed
        try:
            reason = yield from self._prefill(prompt, writer)
            if reason is None:
                reason = yield from self._decode(sampling, seed, writer)
        except Exception:
            yield from writer.finish()  # what was said before
            raise
        yield from writer.finish()
        yield GenerationFinished(
            stats=writer.stats(
                reason, context_used=self.context_used, seed=seed, peak_mib=peak_mib()
            )
        )

    def complete_many(
        self, prompts: Sequence[Sequence[Message]], sampling: SamplingSettings
    ) -> list[Answer]:
        """One after the other: the library computes one conversation at a time."""
        answers = []
        for messages in prompts:
            collector = AnswerCollector()
            for event in self.stream(messages, sampling):
                collector.add([event])
                if isinstance(event, GenerationFinished):
                    answers.append(collector.answer(event.stats))
        return answers

    def _prefill(
        self, prompt: list[int], writer: AnswerWriter
    ) -> Generator[GenerationEvent, None, FinishReason | None]:
        total = len(prompt)
        done = writer.cached_tokens = self._keep_prefix(prompt)
        yield PrefillProgress(done=done, total=total, cached=writer.cached_tokens)
        while done < total:
            if self._stop.is_set():
                return FinishReason.CANCELLED
            most = min(self._most_at_once, legacy_costs.batch_at(self._header, done))
            chunk = prompt[done : done + most]
            began = time.perf_counter()
            self._compute(chunk, self._threads[1])
            writer.prefill_s += time.perf_counter() - began
            done += len(chunk)
            yield PrefillProgress(done=done, total=total, cached=writer.cached_tokens)
        return None

    def _decode(
        self, sampling: SamplingSettings, seed: int, writer: AnswerWriter
    ) -> Generator[GenerationEvent, None, FinishReason]:
        model = self._model
        while True:
            token = model.sample(sampling, self._cells, seed + writer.tokens)
            said = None if model.is_end(token) else model.piece(token)
            yield from writer.took(said)
            if said is None:
                return FinishReason.STOP
            if writer.tokens >= sampling.max_tokens:
                return FinishReason.LENGTH
            if len(self._cells) >= model.context_length:
                return FinishReason.CONTEXT
            if self._stop.is_set():
                return FinishReason.CANCELLED
            self._compute([token], self._threads[0])

    def _keep_prefix(self, prompt: list[int]) -> int:
        """Forget all tokens that do not begin `prompt`; at least one stays to be computed."""
        if self._header.architecture in _FORGETFUL:
            self._cells.clear()
            return 0
        most = min(len(self._cells), len(prompt) - 1)
        same = next((i for i in range(most) if self._cells[i] != prompt[i]), most)
        del self._cells[same:]
        return same

    def _compute(self, tokens: list[int], threads: int) -> None:
        self.last_progress = time.monotonic()
        self._model.compute(tokens, len(self._cells), threads)
        self._cells += tokens


def _spared(threads: int) -> int:
    """One core less: this library's threads wait for each other without giving way.

    Beside other work, an answer of a tiny model took seconds with two threads on two cores, and a
    twentieth of a second with one.
    """
    return max(1, threads - 1)
