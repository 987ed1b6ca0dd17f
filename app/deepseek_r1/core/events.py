"""What the engine says while it works. The same values in-process and over the host's pipe.

Every event is frozen and carries its `kind`, so that a reader can tell them apart in JSON.
Times are seconds, sizes MiB, counts tokens, unless a name says otherwise.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core.settings import CacheStrategy


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"  # the model said it was done
    LENGTH = "length"  # max_tokens reached
    CONTEXT = "context"  # the context window is full
    CANCELLED = "cancelled"  # the user stopped it
    ERROR = "error"  # the engine failed; what came before is kept


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)


class LoadProgress(_Event):
    """Weights read so far, 0 to 1."""

    kind: Literal["load_progress"] = "load_progress"
    fraction: float


class BillLine(_Event):
    """One item of the memory bill; `measured_mib` is None before the load or where unknown."""

    name: str
    planned_mib: float
    measured_mib: float | None = None


class Bill(_Event):
    """What a model with these settings costs in memory, against the budget.

    A model that runs from the disk has the lines "pinned" and "slots" in place of "weights", and
    with experts also "experts", the room for those in memory.
    """

    lines: tuple[BillLine, ...]
    budget_mib: float
    streamed_mib: float = 0.0  # read from the disk in each pass, when the context is full
    short_streamed_mib: float = 0.0  # the same while a conversation is short
    disk_mib_s: float = 0.0  # measured speed of the file's drive; 0 is not known
    compute_s: float = 0.0  # of a token's computing, what reading from the drive does not hide

    @property
    def total_mib(self) -> float:
        """The sum of the planned lines."""
        return sum(line.planned_mib for line in self.lines)

    @property
    def fits(self) -> bool:
        """True when the plan stays inside the budget."""
        return self.total_mib <= self.budget_mib

    @property
    def streams(self) -> bool:
        """True for a model that runs from the disk."""
        return any(line.name == "slots" for line in self.lines)

    @property
    def disk_tok_s(self) -> float:
        """Tokens a second to expect from the drive at first; 0 where it is unknown or not read."""
        return self.tok_s_reading(self.short_streamed_mib)

    def tok_s_reading(self, mib: float) -> float:
        """Tokens a second if `mib` were read for each; 0 where the drive is unknown or not read."""
        if mib <= 0 or not self.disk_mib_s:
            return 0.0
        return 1 / (mib / self.disk_mib_s + self.compute_s)


class ModelFacts(_Event):
    """What a loaded model is."""

    path: str
    name: str
    architecture: str
    file_mib: float
    parameters: int
    quantisation: str
    context_length: int  # in force
    context_trained: int  # the most the model was trained for
    vocabulary: int
    reasons: bool  # its template opens a thinking block
    engine: str  # "llama.cpp", with its build
    format: str = ""  # the file's: "GGUF 3"
    ignored: tuple[str, ...] = ()  # keys of settings that mean nothing to this engine


class ThreadsMeasured(_Event):
    """Thread counts that suit the loaded model here, and the rates of all that were tried."""

    kind: Literal["threads_measured"] = "threads_measured"
    threads: int
    threads_prefill: int
    decode_tok_s: dict[int, float]
    prefill_tok_s: dict[int, float]

    @property
    def counts(self) -> tuple[int, int]:
        """For writing and for reading."""
        return self.threads, self.threads_prefill


class ModelLoaded(_Event):
    """The model is ready to talk."""

    kind: Literal["model_loaded"] = "model_loaded"
    facts: ModelFacts
    bill: Bill
    load_s: float
    threads: int
    threads_prefill: int
    measured: ThreadsMeasured | None = None  # where thread counts were measured for its shape


class BudgetChanged(_Event):
    """The bill of the loaded model under another budget."""

    kind: Literal["budget_changed"] = "budget_changed"
    bill: Bill


class PrefillProgress(_Event):
    """The prompt is being read: `done` of `total` tokens, `cached` of them remembered."""

    kind: Literal["prefill_progress"] = "prefill_progress"
    done: int
    total: int
    cached: int


class ThinkingDelta(_Event):
    """More of the model's reasoning."""

    kind: Literal["thinking_delta"] = "thinking_delta"
    text: str
    completion_tokens: int = 0
    elapsed_s: float = 0.0


class AnswerDelta(_Event):
    """More of the answer itself. `completion_tokens` counts all generated so far."""

    kind: Literal["answer_delta"] = "answer_delta"
    text: str
    completion_tokens: int = 0
    elapsed_s: float = 0.0


class ThinkingFinished(_Event):
    """The reasoning block was closed after `seconds`."""

    kind: Literal["thinking_finished"] = "thinking_finished"
    seconds: float


_COUNTERS = ("read_mib", "io_wait_s", "hits", "misses", "expert_hits", "expert_misses")


class WeightsStats(_Event):
    """Where the weights of a streaming model are, and what reading them took.

    The sizes are those of the moment. The counters run since the load, in GenerationStats since
    the answer began.
    """

    pinned_mib: float = 0.0  # in memory, experts included
    streamed_mib: float = 0.0  # read in each pass; of experts as if they were chosen at random
    read_mib: float = 0.0
    io_wait_s: float = 0.0  # the computation waited so long for the disk
    hits: int = 0  # uses of a matrix, or of one expert, that was in memory
    misses: int = 0  # uses of one that had to be read
    expert_hits: int = 0  # of `hits`
    expert_misses: int = 0
    strategy: CacheStrategy = CacheStrategy.PINNED  # what is done, never `auto`
    told_apart: bool = True  # False where a mixture's experts have to be read all together

    @property
    def hit_rate(self) -> float:
        """Share of uses that needed no reading; 1 where nothing was used."""
        uses = self.hits + self.misses
        return self.hits / uses if uses else 1.0

    @property
    def expert_hit_rate(self) -> float | None:
        """The same of experts alone; None where none were used."""
        uses = self.expert_hits + self.expert_misses
        return self.expert_hits / uses if uses else None

    def since(self, earlier: WeightsStats) -> WeightsStats:
        """The same with the counters of the time between two moments."""
        return self.model_copy(
            update={key: getattr(self, key) - getattr(earlier, key) for key in _COUNTERS}
        )


class MemoryState(_Event):
    """What a loaded model may use now. `short`: less than wanted, the machine has too little."""

    budget_mib: float
    wanted_mib: float
    batch: int  # tokens of a prompt read at once
    short: bool
    streams: bool  # it runs from the disk and can follow


class GenerationStats(_Event):
    """The counts and times of one answer. Rates are derived, so they cannot disagree."""

    finish_reason: FinishReason
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt, found in the KV cache
    completion_tokens: int = 0  # all sampled tokens, the end token included
    thinking_tokens: int = 0
    ttft_s: float = 0.0  # from the request to the first sampled token
    prefill_s: float = 0.0
    decode_s: float = 0.0  # from the first sampled token to the last
    thinking_s: float = 0.0
    load_s: float = 0.0
    context_used: int = 0
    seed: int = 0
    peak_mib: float = 0.0  # of the engine's process, so far
    drafted: int = 0  # tokens guessed from the text so far and computed along
    accepted: int = 0  # of them: chosen by the sampler
    weights: WeightsStats | None = None  # of a model that runs from the disk

    @property
    def prefill_tok_s(self) -> float:
        """Prompt tokens read per second; cached ones do not count."""
        return (self.prompt_tokens - self.cached_tokens) / self.prefill_s if self.prefill_s else 0.0

    @property
    def decode_tok_s(self) -> float:
        """Tokens per second after the first one."""
        return (self.completion_tokens - 1) / self.decode_s if self.decode_s > 0 else 0.0

    @property
    def tokens_per_pass(self) -> float:
        """Tokens that one pass over the weights brought while writing."""
        return self.completion_tokens / max(1, self.completion_tokens - self.accepted)


class GenerationFinished(_Event):
    """The last event of every answer."""

    kind: Literal["generation_finished"] = "generation_finished"
    stats: GenerationStats


LoadEvent = LoadProgress | ModelLoaded | BudgetChanged | ThreadsMeasured
GenerationEvent = (
    PrefillProgress | ThinkingDelta | AnswerDelta | ThinkingFinished | GenerationFinished
)
Event = Annotated[LoadEvent | GenerationEvent, Field(discriminator="kind")]
event_adapter: TypeAdapter[Event] = TypeAdapter(Event)
