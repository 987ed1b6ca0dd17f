"""`CPUInference`: a model that is loaded and asked. The one front of the library.

Any thread may call `cancel` and `set_threads` and read the properties. Answers come one at a
time: whoever asks while another answer is being written gets EngineBusy, from any thread.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast, overload

from deepseek_r1.core.errors import ModelNotLoaded, WrongUsage
from deepseek_r1.core.events import (
    GenerationEvent,
    GenerationFinished,
    GenerationStats,
    MemoryState,
    ModelLoaded,
    ThreadsMeasured,
    WeightsStats,
)
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import CacheStrategy, KVType, LoadSettings, SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.answer import AnswerCollector
from deepseek_r1.engine.base import Answer, Engine, OpenRequest
from deepseek_r1.engine.registry import open_engine
from deepseek_r1.engine.schema import Schema, schema_text
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware import cpu
from deepseek_r1.inference.budget import LiveBudget, stats_of
from deepseek_r1.inference.options import (
    Prompt,
    as_messages,
    default_context,
    sampling_for,
    with_options,
)
from deepseek_r1.inference.share import facts_of, process_share, streamed_mib, with_measured
from deepseek_r1.inference.thread_profile import keep, known, measure, worth_measuring
from deepseek_r1.inference.turns import Turns
from deepseek_r1.memory.governor import Allowance, Wanted
from deepseek_r1.memory.plan import require_fit

MAX_BATCH = 64
_CLOSE_SECONDS = 10.0


class CPUInference:
    """A model in memory.

        with CPUInference("model.gguf", thread_count=4) as model:
            print(model.generate("Why is the sky blue?", max_tokens=256))

    `loaded` tells what was loaded and what it costs.
    """

    def __init__(
        self,
        model_path: str | Path,
        *,
        settings: LoadSettings | None = None,
        batch_size: int | None = None,
        thread_count: int | None = None,
        memory_budget: int | None = None,
        context_length: int | None = None,
        kv_type: KVType | str | None = None,
        swap_enabled: bool | None = None,
        cache_strategy: CacheStrategy | str | None = None,
        enable_chunk_loading: bool | None = None,
        window_mib: float | None = None,
        on_progress: Callable[[float], bool] | None = None,
    ) -> None:
        """Load the model; returns when it is ready.

        The single options override `settings`. `thread_count` is for reading and for writing,
        0 is automatic. `memory_budget` and `window_mib` are MiB: the latter is what the caller's
        process costs where it is another than this one. `batch_size` is the most prompts of a list
        answered together. `on_progress` hears fractions of the load and stops it by returning
        False.

        Raises ModelRefused (BudgetTooSmall, ContextTooLarge, LoadStopped, ...), WrongUsage,
        EngineStartFailed.
        """
        began = time.perf_counter()
        header = read_header(Path(model_path))
        if settings is None and context_length is None:
            context_length = default_context(header)
        chosen = with_options(
            settings or LoadSettings(),
            threads=thread_count,
            threads_prefill=thread_count,
            memory_budget=memory_budget,
            context_length=context_length,
            kv_type=kv_type,
            swap_enabled=swap_enabled,
            cache_strategy=cache_strategy,
            enable_chunk_loading=enable_chunk_loading,
        )
        sequences = 1 if batch_size is None else batch_size
        if not 1 <= sequences <= MAX_BATCH:
            raise WrongUsage(detail=tr("batch_size must be 1 to {most}.", most=MAX_BATCH))
        share = process_share(window_mib, legacy=header.legacy)
        bill = require_fit(header, chosen, share)
        self._header, measured = header, known(header)
        self._engine: Engine = open_engine(
            OpenRequest(
                header,
                chosen,
                sequences,
                on_progress or (lambda _fraction: True),
                weights_mib=streamed_mib(bill),
                automatic_threads=measured.counts if measured else None,
            )
        )
        self._free = weakref.finalize(self, self._engine.close)
        self._turns = Turns()
        self._budget = LiveBudget(self._engine, header, chosen, share, self._turns.between)
        self._stream: weakref.ref[Generator[GenerationEvent, None, None]] | None = None
        threads, threads_prefill = self._engine.threads
        self.loaded = ModelLoaded(
            facts=facts_of(header, chosen, self._engine),
            bill=with_measured(bill, self._engine),
            load_s=time.perf_counter() - began,
            threads=threads,
            threads_prefill=threads_prefill,
            measured=measured,
        )

    # ---- asking -----------------------------------------------------------------------------

    @overload
    def generate(
        self,
        prompt: str | Sequence[Message],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
    ) -> str: ...

    @overload
    def generate(
        self,
        prompt: list[str] | tuple[str, ...],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
    ) -> list[str]: ...

    def generate(
        self,
        prompt: str | Sequence[Message] | list[str] | tuple[str, ...],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
    ) -> str | list[str]:
        """The answer, without the thinking; for a list of texts the list of their answers.

        `max_tokens` overrides what `sampling` says. With a `json_schema` the answer is JSON that
        validates, if it is not cut off by `max_tokens`; see `engine.schema` for what a schema may
        say. Raises PromptTooLong, WrongUsage, EngineBusy, EngineFailed.
        """
        if isinstance(prompt, str) or not prompt or isinstance(prompt[0], Message):
            one = cast(Prompt, prompt)
            return self.complete(one, max_tokens, sampling=sampling, json_schema=json_schema).text
        answers = self._complete_many(prompt, max_tokens, sampling, json_schema)
        return [answer.text for answer in answers]

    def complete(
        self,
        prompt: Prompt,
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
    ) -> Answer:
        """The whole answer with its thinking and its account."""
        collector = AnswerCollector()
        stats: GenerationStats | None = None
        events = self.stream(prompt, max_tokens, sampling=sampling, json_schema=json_schema)
        for event in events:
            if isinstance(event, GenerationFinished):
                stats = event.stats
            collector.add([event])
        assert stats is not None  # noqa: S101 - the stream's contract
        return collector.answer(stats)

    def stream(
        self,
        prompt: Prompt,
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
    ) -> Iterator[GenerationEvent]:
        """The answer as it is written. Its last event, and only that, is a GenerationFinished.

        A `cancel` counts from this call on, even before the first event is asked for. Dropping
        the iterator ends the answer.
        """
        engine = self._ready()
        messages = as_messages(prompt)
        chosen = sampling_for(sampling, max_tokens)
        schema = schema_text(json_schema) if json_schema is not None else ""
        self._turns.require_free()
        engine.forgive()
        events = self._events(engine, messages, chosen, schema)
        self._stream = weakref.ref(events)
        return events

    def _events(
        self,
        engine: Engine,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        json_schema: str,
    ) -> Generator[GenerationEvent, None, None]:
        with self._turns.answering():
            self._ready()
            before = stats_of(engine)
            for event in engine.stream(messages, sampling, json_schema=json_schema):
                if isinstance(event, GenerationFinished):
                    after = stats_of(engine)
                    weights = after.since(before) if after and before else None
                    added = {"load_s": self.loaded.load_s, "weights": weights}
                    yield GenerationFinished(stats=event.stats.model_copy(update=added))
                else:
                    yield event

    def _complete_many(
        self,
        texts: Sequence[Any],
        max_tokens: int | None,
        sampling: SamplingSettings | None,
        json_schema: Schema | None,
    ) -> list[Answer]:
        engine = self._ready()
        if not all(isinstance(text, str) for text in texts):
            raise WrongUsage(detail=tr("A list holds texts or messages, not both."))
        if json_schema is not None:  # each is held by itself, so they come one after the other
            return [
                self.complete(text, max_tokens, sampling=sampling, json_schema=json_schema)
                for text in texts
            ]
        chosen = sampling_for(sampling, max_tokens)
        with self._turns.answering():
            engine.forgive()
            return engine.complete_many([as_messages(text) for text in texts], chosen)

    def count_tokens(self, messages: Prompt) -> int:
        """Length in tokens of the prompt these messages make, template included."""
        return self._ready().count_tokens(as_messages(messages))

    # ---- from any thread --------------------------------------------------------------------

    def cancel(self) -> None:
        """End the running answer within 200 ms, also while it reads the prompt."""
        if self._free.alive:
            self._engine.cancel()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Threads for writing and for reading, from the next token on. 0 is automatic."""
        with_options(LoadSettings(), threads=threads, threads_prefill=threads_prefill)
        self._ready().set_threads(threads, threads_prefill)

    def measure_threads(self, go_on: Callable[[], bool] = lambda: True) -> ThreadsMeasured:
        """Try thread counts with this model for up to 20 seconds; take and remember the best.

        `go_on` False ends it early. Raises EngineBusy while an answer is being written, and OSError
        where the profile cannot be written.
        """
        engine = self._ready()
        counts = worth_measuring(cpu().usable_cores)
        found = measure(self, counts, self.loaded.facts.context_length, go_on)
        engine.suit_threads(found.threads, found.threads_prefill)
        keep(self._header, found)
        self.loaded = self.loaded.model_copy(update={"measured": found})
        return found

    def set_memory_budget(self, memory_budget: int, *, window_mib: float | None = None) -> None:
        """Another budget in MiB for a model that runs from the disk, between two tokens.

        Smaller gives memory back, larger keeps more weights; the answer goes on and is the same.
        `window_mib` is what the caller's own process costs by now. `loaded` has the new bill.
        Raises BudgetTooSmall, and WrongUsage for a model that is in
        memory whole: its memory does not change with the budget.
        """
        self._ready()
        with_options(LoadSettings(), memory_budget=memory_budget)
        bill = self._budget.move(memory_budget, self.loaded.bill, window_mib)
        self.loaded = self.loaded.model_copy(update={"bill": bill})

    def hold(self, allowance: Allowance) -> None:
        """Keep to what a shortage of memory leaves; the user's own budget stays remembered."""
        self._ready()
        self._budget.hold(allowance)

    @property
    def wanted(self) -> Wanted:
        """What the user allows, and the least this model can do with."""
        return self._budget.wanted

    @property
    def memory(self) -> MemoryState:
        """The budget in force and the one that is wanted."""
        return self._budget.state

    @property
    def weights_stats(self) -> WeightsStats | None:
        """What streaming costs, counted since the load; None for a model wholly in memory."""
        return stats_of(self._engine) if self._free.alive else None

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for writing and for reading, none of them 0."""
        return self._engine.threads

    @property
    def context_used(self) -> int:
        """Tokens in the context now."""
        return self._engine.context_used

    @property
    def last_progress(self) -> float:
        """`time.monotonic()` of the last sign of life while something is computed."""
        return self._engine.last_progress

    # ---- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        """End a running answer and free the memory. May be called twice.

        Raises EngineBusy if another thread's answer does not end.
        """
        if not self._free.alive:
            return
        self._engine.cancel()
        with self._turns.ending(0.0 if self._drop_stream() else _CLOSE_SECONDS):
            self._free()

    def _drop_stream(self) -> bool:
        """End an answer that nobody reads on; False where a thread is just computing it."""
        stream = self._stream() if self._stream is not None else None
        if stream is None:
            return True
        try:
            stream.close()
        except ValueError:  # "generator already executing"
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ready(self) -> Engine:
        if not self._free.alive:
            raise ModelNotLoaded
        return self._engine
