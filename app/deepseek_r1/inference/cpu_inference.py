"""`CPUInference`, the library's main class: loads a model and generates with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deepseek_r1.core.events import MemoryState, WeightsStats
from deepseek_r1.core.settings import CacheStrategy, DraftMode, KVType, LoadSettings
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.inference.generation import GenerationLock
from deepseek_r1.inference.live_budget import LiveBudget, PressureMonitor
from deepseek_r1.inference.loading import OnAccepted, open_model, prompt_cache_of
from deepseek_r1.inference.prompt_calls import PromptCalls, with_options
from deepseek_r1.memory.governor import Allowance, MemoryLimits
from deepseek_r1.memory.load_plan import LoadPlan

if TYPE_CHECKING:
    from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache


class CPUInference(PromptCalls):
    """A model in memory.

        with CPUInference("model.gguf", thread_count=4) as model:
            print(model.generate("Why is the sky blue?", max_tokens=256))

    `loaded` describes the loaded model and its memory bill.

    Any thread may call `cancel`, `end_thinking` and `set_threads` and read the properties. One
    answer is generated at a time: a second caller gets EngineBusy, from any thread, or waits with
    `queue=True`.
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
        embedding_model: str | Path | None = None,
        window_mib: float | None = None,
        chat_template: str = "",
        isolated: bool = True,
        prompt_cache: str | Path | PromptCache | None = None,
        save_prompts: bool = True,
        queue: bool = False,
        give_back: bool = False,
        plan: LoadPlan | None = None,
        on_accepted: OnAccepted | None = None,
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
        them, loaded within the same budget. Automatic drafts come from the text, where
        that is faster, and leave reproducible answers alone; drafts chosen by name do not.
        `embedding_model` finds passages of documents by their meaning, within the same budget too.

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

        `on_accepted` is called when the file fits, with the plan of the load, before anything is
        loaded: an earlier model may be closed then. `plan` is one that another process has made for
        these settings; it is made again where it does not hold here. `on_progress` gets fractions
        of the load and stops it by returning False.

        Raises ModelRefused (BudgetTooSmall, DraftUnfit, LoadStopped, ...), WrongUsage,
        EngineStartFailed.
        """
        with ExitStack() as stack:
            cache = stack.enter_context(prompt_cache_of(prompt_cache))
            load = with_options(
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
                embedding_model=None if embedding_model is None else str(embedding_model),
            )
            engine, plan, self.loaded = open_model(
                Path(model_path),
                load,
                plan,
                batch_size=1 if batch_size is None else batch_size,
                window_mib=window_mib,
                prompt_cache=cache,
                chat_template=chat_template,
                isolated=isolated,
                on_accepted=on_accepted or (lambda _plan: None),
                on_progress=on_progress or (lambda _fraction: True),
            )
            # Applied here too: no pass may have followed a change of the budget.
            lock = GenerationLock(engine.apply_residency, queue=queue)
            self._budget = LiveBudget(engine, plan, lock.idle)
            monitor = PressureMonitor(self._budget, on_memory or (lambda: None), lock.locked)
            stack.callback(self._budget.close)
            stack.callback(monitor.stop)
            before_close = stack.pop_all().close
        self._reading_memory = _reading_memory(self._budget)
        super().__init__(
            engine,
            self.loaded.load_s,
            lock,
            before_close,
            self._budget.on_answer,
            save_prompts=cache is not None and save_prompts,
        )
        if give_back:
            monitor.start()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads for decode and for prefill, from the next token on. 0 is automatic."""
        with_options(LoadSettings(), threads=threads, threads_prefill=threads_prefill)
        self._require_engine().set_threads(threads, threads_prefill)

    def set_memory_budget(self, memory_budget: int, *, window_mib: float | None = None) -> None:
        """Set another budget in MiB, between two tokens.

        A smaller one frees memory, a larger one keeps more weights; the answer continues and is the
        same. `window_mib` is the current memory of the caller's own process. `loaded` has the new
        bill. A model that is in memory as a whole can change to any budget that fits it. Raises
        BudgetTooSmall, and WrongUsage for such a model under a smaller budget.
        """
        self._require_engine()
        with_options(LoadSettings(), memory_budget=memory_budget)
        bill = self._budget.set_budget(memory_budget, self.loaded.bill, window_mib)
        self.loaded = self.loaded.model_copy(update={"bill": bill})

    def hold(self, allowance: Allowance) -> None:
        """Apply the limits of a memory shortage; the user's own budget stays stored."""
        self._require_engine()
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
        return self._engine.weights_stats if self._open else None

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for decode and for prefill, none of them 0."""
        return self._engine.threads

    @property
    def context_used(self) -> int:
        """Tokens in the context."""
        return self._engine.context_used if self._open else 0

    @property
    def last_progress(self) -> float:
        """`time.monotonic()` of the last progress while something is computed."""
        return self._engine.last_progress

    def __repr__(self) -> str:
        facts, state = self.loaded.facts, "" if self._open else ", closed"
        return f"<CPUInference {facts.name!r}, context {facts.context_length}{state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reading_memory(budget: LiveBudget) -> ReadingMemory:
    """It refers to no `CPUInference`, whose memory is freed once nothing does."""
    return ReadingMemory(lambda: budget.state.budget_mib, budget.reduce_weights)
