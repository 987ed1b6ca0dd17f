"""`CPUInference`, the library's main class: loads a model and generates with it.

Any thread may call `cancel`, `end_thinking` and `set_threads` and read the properties. One answer
is generated at a time: a second caller gets EngineBusy, from any thread, or waits with
`queue=True`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, cast, overload

from deepseek_r1.core.errors import R1Error, WrongUsage
from deepseek_r1.core.events import (
    GenerationEvent,
    MemoryState,
    PrefillProgress,
    ThreadsMeasured,
    WeightsStats,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import AnswerRequest, Message, PartialAnswer, RawPrompt
from deepseek_r1.core.settings import (
    CacheStrategy,
    DraftMode,
    KVType,
    LoadSettings,
    SamplingOptions,
    SamplingSettings,
)
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.engine.output.schema import Schema, schema_json
from deepseek_r1.engine.protocol.base import AnswerBatch, GenerationResult
from deepseek_r1.hardware import cpu
from deepseek_r1.inference.arguments import (
    Prompt,
    as_messages,
    checked_prompts,
    is_list_of_prompts,
    sampling_for,
    with_options,
)
from deepseek_r1.inference.generation import GenerationLock, GenerationRunner
from deepseek_r1.inference.live_budget import LiveBudget, PressureMonitor
from deepseek_r1.inference.loading import ModelToLoad, open_model, open_prompt_cache
from deepseek_r1.inference.thread_profile import counts_to_measure, measure_threads, save_profile
from deepseek_r1.memory.governor import Allowance, MemoryLimits

if TYPE_CHECKING:
    from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache


class CPUInference:
    """A model in memory.

        with CPUInference("model.gguf", thread_count=4) as model:
            print(model.generate("Why is the sky blue?", max_tokens=256))

    `loaded` describes the loaded model and its memory bill.
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
        drafts: DraftMode | str | None = None,
        draft_model: str | Path | None = None,
        window_mib: float | None = None,
        chat_template: str = "",
        isolated: bool = True,
        prompt_cache: str | Path | PromptCache | None = None,
        save_prompts: bool = True,
        queue: bool = False,
        give_back: bool = False,
        on_accepted: Callable[[Sequence[Path]], None] | None = None,
        on_progress: Callable[[float], bool] | None = None,
        on_memory: Callable[[], None] | None = None,
    ) -> None:
        """Load the model; returns when it is ready.

        The single options override `settings`. `thread_count` is for prefill and decode, 0 is
        automatic. `memory_budget` and `window_mib` are MiB: the latter is the memory of the
        caller's process where that is another than this one. `batch_size` is the most prompts of a
        list answered together.

        With `queue` a second caller waits for its turn in place of getting EngineBusy, in the order
        of the calls.

        `drafts` is "auto", "off", "lookup" or "model": how tokens are guessed that one pass over
        the weights then confirms. `draft_model` is a small model of the same family that guesses
        them, loaded within the same budget. Automatic drafts come from the text, while the model
        runs from the disk, and leave reproducible answers alone; drafts chosen by name do not.

        With `give_back` a thread watches the machine's memory: while it is short, the model uses
        less (see `memory`), and more again later. `on_memory` is called in that thread after each
        change.

        `isolated`: a file from before GGUF is read and computed by a child process, so that a
        damaged one cannot end this process.

        `chat_template` is a name from `template_names()` or a template's source; empty uses the
        file's own or, without one, that of the model's family. `loaded.facts.template` is the
        result.

        `prompt_cache` is a folder, or an open `PromptCache`, where the KV cache of prompts is
        saved: a prompt that begins like an earlier one is not computed again, not even in a later
        process. A folder may use 2 GiB. With `save_prompts` it is written after each answer,
        otherwise by `prepare` alone. Raises PromptCacheUnavailable.

        `on_accepted` is called when the file fits, with the files that will be opened, before
        anything is loaded: an earlier model may be closed then. `on_progress` gets fractions of the
        load and stops it by returning False.

        Raises ModelRefused (BudgetTooSmall, DraftUnfit, LoadStopped, ...), WrongUsage,
        EngineStartFailed.
        """
        cache = open_prompt_cache(prompt_cache)
        own_cache = cache if cache is not prompt_cache else None
        try:
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
                drafts=drafts,
                draft_model=None if draft_model is None else str(draft_model),
            )
            batch = 1 if batch_size is None else batch_size
            loaded_model = open_model(
                ModelToLoad(
                    Path(model_path), chosen, batch, window_mib, cache, chat_template, isolated
                ),
                on_accepted or (lambda _files: None),
                on_progress or (lambda _fraction: True),
            )
        except BaseException:
            if own_cache is not None:
                own_cache.close()
            raise
        self.loaded, self._header = loaded_model.loaded, loaded_model.accepted.header
        self._engine = loaded_model.engine
        lock = GenerationLock(queue=queue)
        self._budget = LiveBudget(loaded_model, lock.idle)
        monitor = PressureMonitor(self._budget, on_memory or (lambda: None), lock.locked)

        def before_close() -> None:
            monitor.stop()
            if own_cache is not None:
                own_cache.close()

        self._runner = GenerationRunner(
            loaded_model.engine,
            loaded_model.loaded.load_s,
            lock,
            before_close,
            self._budget.on_answer,
            save_prompts=cache is not None and save_prompts,
        )
        if give_back:
            monitor.start()

    # ---- generation -------------------------------------------------------------------------

    @overload
    def generate(
        self,
        prompt: str | Sequence[Message | Mapping[str, Any]] | RawPrompt,
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        **options: Unpack[SamplingOptions],
    ) -> str: ...

    @overload
    def generate(
        self,
        prompt: list[str] | tuple[str, ...],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        **options: Unpack[SamplingOptions],
    ) -> list[str]: ...

    def generate(
        self,
        prompt: Prompt | Sequence[Prompt],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        **options: Unpack[SamplingOptions],
    ) -> str | list[str]:
        """Return the answer without the thinking; for a list of prompts, the list of their answers.

        A prompt is a text, a conversation (messages, or dicts with `role` and `content`) or a
        `RawPrompt`. `max_tokens` and `options` (`temperature=0`, `stop="###"`, ...) override
        `sampling`. With a `json_schema`, or a class of pydantic's in its place, the answer is JSON
        that validates, unless `max_tokens` cuts it off; see `output.schema` for what a schema may
        contain. Raises PromptTooLong, WrongUsage,
        EngineBusy, EngineFailed.
        """
        chosen = sampling_for(sampling, max_tokens, options)
        if is_list_of_prompts(prompt):
            several = cast(Sequence[Prompt], prompt)
            answers = self.complete_many(several, sampling=chosen, json_schema=json_schema)
            return [answer.text for answer in answers]
        one = cast(Prompt, prompt)
        return self.complete(one, sampling=chosen, json_schema=json_schema).text

    def complete(
        self,
        prompt: Prompt,
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        continues: PartialAnswer | None = None,
        **options: Unpack[SamplingOptions],
    ) -> GenerationResult:
        """Return the whole answer with its thinking and its stats.

        With `continues`, as in `stream`, only what follows it.
        """
        collector = ResultCollector()
        chosen = sampling_for(sampling, max_tokens, options)
        for event in self.stream(
            prompt, sampling=chosen, json_schema=json_schema, continues=continues
        ):
            collector.add(event)
        return collector.result()

    def stream(
        self,
        prompt: Prompt,
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        continues: PartialAnswer | None = None,
        text_every_s: float = 0.0,
        **options: Unpack[SamplingOptions],
    ) -> Iterator[GenerationEvent]:
        """Generate the answer as events. The last event, and only that, is a GenerationFinished.

        A `cancel` counts from this call on, even before the first event is requested. Dropping the
        iterator ends the answer. `continues` is an answer to the same prompt that ended early: the
        events have what follows it. Its tokens are computed again only where the cells do not hold
        them any more. `text_every_s`: a fast model's text comes in events at least
        this far apart.
        """
        schema = schema_json(json_schema) if json_schema is not None else ""
        chosen = sampling_for(sampling, max_tokens, options)
        return self.answer(
            AnswerRequest(as_messages(prompt), chosen, schema, continues, text_every_s)
        )

    def answer(self, request: AnswerRequest) -> Iterator[GenerationEvent]:
        """Generate the answer as events, as `stream` does, to a request that is complete."""
        as_messages(request.messages)  # raises WrongUsage for an empty conversation
        return self._runner.stream(request)

    @overload
    def complete_many(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        return_exceptions: Literal[False] = False,
        **options: Unpack[SamplingOptions],
    ) -> list[GenerationResult]: ...

    @overload
    def complete_many(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        return_exceptions: bool,
        **options: Unpack[SamplingOptions],
    ) -> list[GenerationResult | R1Error]: ...

    def complete_many(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int | None = None,
        *,
        sampling: SamplingSettings | None = None,
        json_schema: Schema | None = None,
        return_exceptions: bool = False,
        **options: Unpack[SamplingOptions],
    ) -> Sequence[GenerationResult | R1Error]:
        """Return the whole answers to several prompts, up to `batch_size` of them together.

        With `return_exceptions` a prompt that cannot be answered has its error in the list;
        otherwise the first such error is raised before anything is computed.
        """
        chosen = sampling_for(sampling, max_tokens, options)
        engine = self._runner.require_engine()
        outcomes = checked_prompts(engine, self.loaded.facts.context_length, prompts)
        if not return_exceptions:
            for each in outcomes:
                if isinstance(each, R1Error):
                    raise each
        accepted = [each for each in outcomes if not isinstance(each, R1Error)]
        if json_schema is not None:  # each answer has its own grammar, so they run in sequence
            answers = [
                self.complete(each, sampling=chosen, json_schema=json_schema) for each in accepted
            ]
        else:
            answers = self._runner.complete_many(accepted, chosen) if accepted else []
        in_order = iter(answers)
        return [each if isinstance(each, R1Error) else next(in_order) for each in outcomes]

    def batch(self) -> AbstractContextManager[AnswerBatch]:
        """Open a batch, to which answers are added while others are computed.

        Nothing else is computed until it is closed, which ends the answers in it. Up to
        `batch_size` of them are computed together. Raises EngineBusy, ModelNotLoaded, and
        WrongUsage for an old model file.
        """
        return self._runner.batch()

    def prepare(
        self, prompt: Prompt, *, owner: str = "", compute: bool = True
    ) -> Iterator[PrefillProgress]:
        """Prepare the next turn of a conversation before its message exists.

        Tokens on the disk are restored, the rest is computed if `compute`, and segments that the
        disk lacks are written for `owner`. The last event has `done` of `total` tokens. A `cancel`
        ends it. Raises EngineBusy, TemplateUnusable, EngineFailed.
        """
        messages = as_messages(prompt)
        if isinstance(messages, RawPrompt):
            raise WrongUsage(detail=tr("A raw prompt has no next turn to prepare."))
        return self._runner.prepare(messages, owner, compute=compute)

    def save_prompt(self, seconds: float = 2.0) -> None:
        """Write segments that an interrupted `prepare` left over, for at most `seconds`."""
        self._runner.save_prompt(seconds)

    def count_tokens(self, messages: Prompt, *, most_tokens: int = 0) -> int:
        """Return the length in tokens of the prompt that these messages make, template included.

        With `most_tokens`, TextTooLong may be raised for a longer one, which takes less time.
        """
        engine = self._runner.require_engine()
        return engine.count_tokens(as_messages(messages), most_tokens=most_tokens)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text alone; with `special`, markers become control tokens."""
        return self._runner.require_engine().tokenize(text, special=special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. Control tokens have none; a broken character is U+FFFD.

        Raises WrongUsage for a token that does not exist.
        """
        try:
            ids = [index(token) for token in tokens]
        except TypeError:
            raise WrongUsage(detail=tr("A token is a whole number.")) from None
        data = self._runner.require_engine().token_bytes(ids)
        return data.decode("utf-8", "replace")

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return an embedding of each text: vectors of length 1, as wide as the model.

        It is the last layer's output for the last token. A chat model is not trained for
        embeddings: texts of similar meaning are close, less reliably than with a model that is.
        Raises PromptTooLong, WrongUsage, EngineBusy, EngineFailed.
        """
        return self._runner.embed(texts)

    # ---- from any thread --------------------------------------------------------------------

    def cancel(self) -> None:
        """End the running answer within 200 ms, also during prefill."""
        self._runner.cancel()

    def end_thinking(self) -> None:
        """Close the thinking block of the running answer within 300 ms; the answer goes on.

        Without effect once the answer has begun.
        """
        self._runner.end_thinking()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads for decode and for prefill, from the next token on. 0 is automatic."""
        with_options(LoadSettings(), threads=threads, threads_prefill=threads_prefill)
        self._runner.require_engine().set_threads(threads, threads_prefill)

    def measure_threads(self, go_on: Callable[[], bool] = lambda: True) -> ThreadsMeasured:
        """Try thread counts with this model for up to 20 seconds; use and save the best.

        `go_on` ends it early by returning False. Raises EngineBusy while an answer is being
        generated, and OSError where the profile cannot be written.
        """
        engine = self._runner.require_engine()
        counts = counts_to_measure(cpu().usable_cores)
        found = measure_threads(self, counts, self.loaded.facts.context_length, go_on)
        engine.set_automatic_threads(found.threads, found.threads_prefill)
        save_profile(self._header, found)
        self.loaded = self.loaded.model_copy(update={"measured": found})
        return found

    def set_memory_budget(self, memory_budget: int, *, window_mib: float | None = None) -> None:
        """Set another budget in MiB, between two tokens.

        A smaller one frees memory, a larger one keeps more weights; the answer continues and is the
        same. `window_mib` is the current memory of the caller's own process. `loaded` has the new
        bill. A model that is in memory as a whole can change to any budget that fits it. Raises
        BudgetTooSmall, and WrongUsage for such a model under a smaller budget.
        """
        self._runner.require_engine()
        with_options(LoadSettings(), memory_budget=memory_budget)
        bill = self._budget.set_budget(memory_budget, self.loaded.bill, window_mib)
        self.loaded = self.loaded.model_copy(update={"bill": bill})

    def hold(self, allowance: Allowance) -> None:
        """Apply the limits of a memory shortage; the user's own budget stays stored."""
        self._runner.require_engine()
        self._budget.set_limit(allowance)

    @property
    def wanted(self) -> MemoryLimits:
        """The memory that the user allows, and the least this model can run with."""
        return self._budget.wanted

    @property
    def memory(self) -> MemoryState:
        """The budget in force and the one that the user wants."""
        return self._budget.state

    @property
    def weights_stats(self) -> WeightsStats | None:
        """Counters of weight streaming since the load; None for a model that is not streamed."""
        return self._engine.weights_stats if self._runner.open else None

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for decode and for prefill, none of them 0."""
        return self._engine.threads

    @property
    def context_used(self) -> int:
        """Tokens in the context."""
        return self._engine.context_used if self._runner.open else 0

    @property
    def last_progress(self) -> float:
        """`time.monotonic()` of the last progress while something is computed."""
        return self._engine.last_progress

    # ---- closing ----------------------------------------------------------------------------

    def close(self) -> None:
        """End a running answer and free the memory. May be called twice.

        Raises EngineBusy if another thread's answer does not end.
        """
        self._runner.close()

    def __repr__(self) -> str:
        facts, state = self.loaded.facts, "" if self._runner.open else ", closed"
        return f"<CPUInference {facts.name!r}, context {facts.context_length}{state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
