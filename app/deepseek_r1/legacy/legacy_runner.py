"""Implements `Engine` with ctransformers, as far as that library allows."""

import os
import secrets
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import (
    FinishReason,
    GenerationEvent,
    GenerationFinished,
    PrefillProgress,
    TemplateSource,
    TemplateUsed,
    WeightsStats,
)
from deepseek_r1.core.frames import without_surrogates
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import AnswerRequest, Message, PromptInput
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.interface import AnswerBatch, GenerationResult, OpenRequest, engine_name
from deepseek_r1.engine.output.generation_output import GenerationOutput, ResultCollector
from deepseek_r1.engine.output.repetition import RepetitionDetector
from deepseek_r1.engine.prompt.prompt_builder import common_length
from deepseek_r1.hardware import cpu
from deepseek_r1.legacy import legacy_costs
from deepseek_r1.legacy.ggml_file import MISSING_BYTES
from deepseek_r1.legacy.legacy_model import (
    MAX_SEED,
    LegacyModel,
    LegacyModelProcess,
    Progress,
    legacy_file,
)
from deepseek_r1.legacy.legacy_prompt import PlainPromptBuilder
from deepseek_r1.memory.meter import peak_mib, process_mib
from deepseek_r1.memory.plan import LEGACY_PROCESS_MIB
from deepseek_r1.weights.residency import Residency

# The sampling settings that the library uses.
_SAMPLING = (
    "temperature", "top_p", "top_k", "repeat_penalty", "stop", "max_tokens", "end_repetition",
    "seed",
)  # fmt: skip
# What it does not use, of both kinds of settings.
IGNORED = (
    "micro_batch",
    "kv_type",
    "swap_enabled",
    "cache_strategy",
    "enable_chunk_loading",
    "chunk_size_kib",
    *(key for key in SamplingSettings.model_fields if key not in _SAMPLING),
)
# Families whose context cannot be truncated: tokens computed after a kept prefix are wrong.
_NOT_TRUNCATABLE = frozenset({"falcon"})


class LegacyEngine:
    """An `engine.interface.Engine`; see there for the contract and its threads."""

    def __init__(self, request: OpenRequest) -> None:
        """Load the file. Raises ModelRefused, EngineStartFailed."""
        settings, self._header = request.settings, request.header
        self.last_progress = time.monotonic()
        before = LEGACY_PROCESS_MIB if request.isolated else process_mib(os.getpid())
        kind: type[LegacyModel | LegacyModelProcess]
        kind = LegacyModelProcess if request.isolated else LegacyModel
        self._model = kind(
            legacy_file(request.header, settings.context_length),
            legacy_costs.weights_mib(request.header),
            partial(self._on_progress, request.on_progress),
        )
        self._weights_mib = max(0.0, process_mib(self._model.process_id) - before)
        # Falcon's vocabulary has no word for some control characters, so they are left out.
        missing = str(request.header.metadata.get(MISSING_BYTES, ""))
        self._missing_bytes = frozenset(bytes.fromhex(missing))
        self._prompts = PlainPromptBuilder(request.header, self._tokenize)
        self._automatic = (_one_thread_less(cpu().threads), _one_thread_less(cpu().threads_prefill))
        self.set_threads(settings.threads, settings.threads_prefill)
        self._cells: list[int] = []
        self._batch_limit = legacy_costs.BATCH
        self._stop = threading.Event()
        self.name = engine_name(legacy=True)
        self.reasons = False
        self.template = TemplateUsed(source=TemplateSource.COMPLETION)
        self.weights_stats: WeightsStats | None = None  # all weights are in memory
        self.draft_released = False
        self.ignored: tuple[str, ...] = IGNORED

    def _on_progress(self, owners: Progress, fraction: float) -> bool:
        self.last_progress = time.monotonic()
        return owners(fraction)

    def _tokenize(self, text: str, *, begin: bool) -> list[int]:
        self.last_progress = time.monotonic()  # this library is slow at it
        if self._missing_bytes:
            text = "".join(
                each
                for each in text
                if self._missing_bytes.isdisjoint(without_surrogates(each).encode())
            )
        return self._model.tokenize(text, begin=begin)

    @property
    def context_used(self) -> int:
        return len(self._cells)

    def set_residency(self, residency: Residency, without_draft: Residency | None = None) -> None:
        """There is nothing to change: all weights are in memory."""

    def apply_residency(self) -> None:
        """There is nothing to take up."""

    def limit_batch(self, tokens: int) -> None:
        """Limit the prompt tokens of the next computation. From any thread."""
        self._batch_limit = max(1, tokens)

    def measured_mib(self) -> Mapping[str, float]:
        """Return how much the process grew while the file was read."""
        return {"weights": self._weights_mib}

    def count_tokens(self, messages: PromptInput, *, most_tokens: int = 0) -> int:
        del most_tokens
        return len(self._prompts.build(messages))

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text; this library reads markers in any case."""
        del special
        return self._tokenize(text, begin=False)

    def token_bytes(self, tokens: Sequence[int]) -> bytes:
        """Return the text of tokens in UTF-8. Raises WrongUsage."""
        unknown = next((each for each in tokens if not 0 <= each < self._model.vocabulary), None)
        if unknown is not None:
            raise WrongUsage(detail=tr("The model has no token {id}.", id=unknown))
        return b"".join(map(self._model.piece, tokens))

    def open_batch(self) -> AnswerBatch:
        """Raises WrongUsage: the library computes one conversation at a time."""
        raise WrongUsage(detail=tr("The engine for old model files answers one request at a time."))

    def embed(self, text: str) -> list[float]:
        """Raises WrongUsage: the library gives none."""
        del text
        raise WrongUsage(detail=tr("The engine for old model files gives no embeddings."))

    def similarities(self, question: str, passages: Sequence[str]) -> list[float]:
        """Raises WrongUsage: the library loads no second model."""
        del question, passages
        raise WrongUsage(detail=tr("No embedding model is loaded."))

    def cancel(self) -> None:
        """End the answer after the current token. From any thread."""
        self._stop.set()

    def end_thinking(self) -> None:
        """Nothing: these models have no thinking blocks."""

    def reset_cancel(self) -> None:
        """Discard a `cancel` that came while nothing was running."""
        self._stop.clear()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads of the next computation; 0 is automatic. From any thread."""
        self.threads = threads or self._automatic[0], threads_prefill or self._automatic[1]

    def close(self) -> None:
        self._cells.clear()
        self._model.close()

    # ---- one answer -------------------------------------------------------------------------

    def stream(self, request: AnswerRequest) -> Iterator[GenerationEvent]:
        """Prefill the tokens that the context lacks, then decode token by token."""
        if request.json_schema:
            raise WrongUsage(
                detail=tr("The engine for old model files cannot follow a JSON schema.")
            )
        if request.continues is not None:
            raise WrongUsage(detail=tr("The engine for old model files cannot continue an answer."))
        started = time.perf_counter()
        prompt, sampling = self._prompts.build(request.messages), request.sampling
        if not prompt:
            raise WrongUsage(detail=tr("The question is empty."))
        request.require_place(len(prompt), self._model.context_length)
        output = GenerationOutput(
            thinking_open=False,
            started=started,
            text_every_s=request.text_every_s,
            sampling=sampling,
        )
        output.prompt_tokens = len(prompt)
        seed = secrets.randbelow(MAX_SEED) if sampling.seed < 0 else sampling.seed
        try:
            reason = yield from self._prefill(prompt, output)
            if reason is None:
                reason = yield from self._decode(sampling, seed, output)
        except Exception:
            yield from output.finish(cut=True)  # the text before the failure
            raise
        yield from output.finish(cut=reason is not FinishReason.STOP)
        yield GenerationFinished(
            stats=output.stats(
                reason, context_used=self.context_used, seed=seed, peak_mib=self._peak_mib()
            )
        )

    def _peak_mib(self) -> float:
        """The peak of this process, and of the model's where that is another."""
        model = self._model.process_id
        return peak_mib() + (peak_mib(model) if model != os.getpid() else 0.0)

    def prepare(
        self, messages: Sequence[Message], *, owner: str, compute: bool
    ) -> Iterator[PrefillProgress]:
        """Nothing: the library keeps no state of a prompt."""
        del messages, owner, compute
        return iter(())

    def save_prompt(self, seconds: float) -> None:
        """Nothing, for the same reason."""

    def complete_many(
        self, prompts: Sequence[PromptInput], sampling: SamplingSettings
    ) -> list[GenerationResult]:
        """Answer one prompt after the other: the library computes one conversation at a time."""
        answers = []
        for messages in prompts:
            collector = ResultCollector()
            collector.add(*self.stream(AnswerRequest(messages, sampling)))
            answers.append(collector.result())
        return answers

    def _prefill(
        self, prompt: list[int], output: GenerationOutput
    ) -> Generator[GenerationEvent, None, FinishReason | None]:
        total = len(prompt)
        done = output.cached_tokens = self._keep_prefix(prompt)
        yield PrefillProgress(done=done, total=total, cached=output.cached_tokens)
        while done < total:
            if self._stop.is_set():
                return FinishReason.CANCELLED
            most = min(self._batch_limit, legacy_costs.batch_at(self._header, done))
            chunk = prompt[done : done + most]
            began = time.perf_counter()
            self._compute(chunk, self.threads[1])
            output.prefill_s += time.perf_counter() - began
            done += len(chunk)
            yield PrefillProgress(done=done, total=total, cached=output.cached_tokens)
        return None

    def _decode(
        self, sampling: SamplingSettings, seed: int, output: GenerationOutput
    ) -> Generator[GenerationEvent, None, FinishReason]:
        model, repetition = self._model, RepetitionDetector()
        while True:
            token = model.sample(sampling, self._cells, seed + output.tokens)
            piece = None if model.is_end(token) else model.piece(token)
            yield from output.on_token(piece)
            if piece is None or output.stopped:
                return FinishReason.STOP
            if sampling.end_repetition and repetition.observe([token], piece):
                return FinishReason.REPETITION
            if output.tokens >= sampling.max_tokens:
                return FinishReason.LENGTH
            if len(self._cells) >= model.context_length:
                return FinishReason.CONTEXT
            if self._stop.is_set():
                return FinishReason.CANCELLED
            self._compute([token], self.threads[0])

    def _keep_prefix(self, prompt: list[int]) -> int:
        """Drop all tokens that do not begin `prompt`; at least one is left to compute."""
        if self._header.architecture in _NOT_TRUNCATABLE:
            self._cells.clear()
            return 0
        same = common_length(self._cells, prompt[:-1])
        del self._cells[same:]
        return same

    def _compute(self, tokens: list[int], threads: int) -> None:
        self.last_progress = time.monotonic()
        self._model.compute(tokens, len(self._cells), threads)
        self._cells += tokens


def _one_thread_less(threads: int) -> int:
    """Leave one core free, because this library's threads wait for each other by spinning.

    Beside other work, an answer of a tiny model took seconds with two threads on two cores, and a
    twentieth of a second with one.
    """
    return max(1, threads - 1)
