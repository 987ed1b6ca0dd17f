"""`CPUInference`: a model that is loaded and asked. The one front of the library.

Any thread may call `cancel` and `set_threads` and read the properties. Answers come one at a
time: whoever asks while another answer is being written gets EngineBusy, from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast, overload

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import (
    GenerationEvent,
    GenerationFinished,
    GenerationStats,
    MemoryState,
    ThreadsMeasured,
    WeightsStats,
)
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import CacheStrategy, KVType, LoadSettings, SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.answer import AnswerCollector
from deepseek_r1.engine.base import Answer
from deepseek_r1.engine.schema import Schema, schema_text
from deepseek_r1.hardware import cpu
from deepseek_r1.inference.answers import Answers
from deepseek_r1.inference.budget import LiveBudget, stats_of
from deepseek_r1.inference.keeper import MemoryKeeper
from deepseek_r1.inference.opening import open_model
from deepseek_r1.inference.options import Prompt, as_messages, sampling_for, with_options
from deepseek_r1.inference.thread_profile import keep, measure, worth_measuring
from deepseek_r1.inference.turns import Turns
from deepseek_r1.memory.governor import Allowance, Wanted


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
        give_back: bool = False,
        on_accepted: Callable[[], None] | None = None,
        on_progress: Callable[[float], bool] | None = None,
        on_memory: Callable[[], None] | None = None,
    ) -> None:
        """Load the model; returns when it is ready.

        The single options override `settings`. `thread_count` is for reading and for writing,
        0 is automatic. `memory_budget` and `window_mib` are MiB: the latter is what the caller's
        process costs where it is another than this one. `batch_size` is the most prompts of a list
        answered together.

        With `give_back` a thread watches the machine's memory: while it is short, the model does
        with less (see `memory`), and takes it up again later. `on_memory` hears of it there.

        `on_accepted` is called when the file fits, before anything is loaded: a model before may
        be closed then. `on_progress` hears fractions of the load and stops it by returning False.

        Raises ModelRefused (BudgetTooSmall, ContextTooLarge, LoadStopped, ...), WrongUsage,
        EngineStartFailed.
        """
        opened = open_model(
            Path(model_path),
            settings,
            {
                "threads": thread_count,
                "threads_prefill": thread_count,
                "memory_budget": memory_budget,
                "context_length": context_length,
                "kv_type": kv_type,
                "swap_enabled": swap_enabled,
                "cache_strategy": cache_strategy,
                "enable_chunk_loading": enable_chunk_loading,
            },
            batch_size=1 if batch_size is None else batch_size,
            window_mib=window_mib,
            on_accepted=on_accepted or (lambda: None),
            on_progress=on_progress or (lambda _fraction: True),
        )
        self.loaded, self._header, self._engine = opened.loaded, opened.header, opened.engine
        turns = Turns()
        self._budget = LiveBudget(opened, turns.between)
        keeper = MemoryKeeper(self, on_memory or (lambda: None), turns.taken)
        self._answers = Answers(opened.engine, opened.loaded.load_s, turns, keeper.stop)
        if give_back:
            keeper.start()

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
        for event in self.stream(prompt, max_tokens, sampling=sampling, json_schema=json_schema):
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
        text_every_s: float = 0.0,
    ) -> Iterator[GenerationEvent]:
        """The answer as it is written. Its last event, and only that, is a GenerationFinished.

        A `cancel` counts from this call on, even before the first event is asked for. Dropping
        the iterator ends it. `text_every_s`: a fast model tells its text in events so far apart.
        """
        schema = schema_text(json_schema) if json_schema is not None else ""
        chosen = sampling_for(sampling, max_tokens)
        return self._answers.stream(as_messages(prompt), chosen, schema, text_every_s)

    def _complete_many(
        self,
        texts: Sequence[Any],
        max_tokens: int | None,
        sampling: SamplingSettings | None,
        json_schema: Schema | None,
    ) -> list[Answer]:
        if not all(isinstance(text, str) for text in texts):
            raise WrongUsage(detail=tr("A list holds texts or messages, not both."))
        if json_schema is not None:  # each is held by itself, so they come one after the other
            return [
                self.complete(text, max_tokens, sampling=sampling, json_schema=json_schema)
                for text in texts
            ]
        chosen = sampling_for(sampling, max_tokens)
        return self._answers.together([as_messages(text) for text in texts], chosen)

    def count_tokens(self, messages: Prompt) -> int:
        """Length in tokens of the prompt these messages make, template included."""
        return self._answers.ready().count_tokens(as_messages(messages))

    # ---- from any thread --------------------------------------------------------------------

    def cancel(self) -> None:
        """End the running answer within 200 ms, also while it reads the prompt."""
        self._answers.cancel()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Threads for writing and for reading, from the next token on. 0 is automatic."""
        with_options(LoadSettings(), threads=threads, threads_prefill=threads_prefill)
        self._answers.ready().set_threads(threads, threads_prefill)

    def measure_threads(self, go_on: Callable[[], bool] = lambda: True) -> ThreadsMeasured:
        """Try thread counts with this model for up to 20 seconds; take and remember the best.

        `go_on` False ends it early. Raises EngineBusy while an answer is being written, and OSError
        where the profile cannot be written.
        """
        engine = self._answers.ready()
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
        Raises BudgetTooSmall, and WrongUsage for a model that is in memory whole.
        """
        self._answers.ready()
        with_options(LoadSettings(), memory_budget=memory_budget)
        bill = self._budget.move(memory_budget, self.loaded.bill, window_mib)
        self.loaded = self.loaded.model_copy(update={"bill": bill})

    def hold(self, allowance: Allowance) -> None:
        """Keep to what a shortage of memory leaves; the user's own budget stays remembered."""
        self._answers.ready()
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
        return stats_of(self._engine) if self._answers.open else None

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
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
