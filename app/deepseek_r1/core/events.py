"""Events of the engine. They are the same in-process and over the host's pipe.

Every event is frozen and carries its `kind`, so that JSON readers can tell them apart. Times are
seconds, sizes are MiB, counts are tokens, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.model_names import title
from deepseek_r1.core.settings import CacheStrategy


class FinishReason(StrEnum):
    """The reason why an answer ended."""

    STOP = "stop"  # the model ended the answer
    LENGTH = "length"  # max_tokens reached
    CONTEXT = "context"  # the context window is full
    REPETITION = "repetition"  # the answer repeated itself
    CANCELLED = "cancelled"  # the user stopped it
    ERROR = "error"  # the engine failed; the text before is kept


class ThinkingEnd(StrEnum):
    """The reason why a thinking block ended."""

    MODEL = "model"  # the model closed it
    BUDGET = "budget"  # the thinking budget was used up
    REQUEST = "request"  # the user wanted the answer now
    REPETITION = "repetition"  # the thinking repeated itself


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class BillItem(StrEnum):
    """The item of a line of the memory bill."""

    WEIGHTS = "weights"  # all of them, in memory
    PINNED = "pinned"  # weights that stay in memory while others are streamed
    SLOTS = "slots"  # the prefetch ring
    EXPERTS = "experts"  # the cache of a mixture's experts
    DRAFT = "draft"  # the draft model with its own cache and buffers
    EMBEDDING = "embedding"  # the embedding model with its vocabulary and buffers
    KV_CACHE = "kv_cache"
    STATE = "state"  # of recurrent layers, and the checkpoints of it
    COMPUTE = "compute"
    OUTPUT = "output"
    RUNTIME = "runtime"
    GRAPHICS = "graphics"  # the driver of a graphics processor, and its buffers
    WINDOW = "window"
    RESERVE = "reserve"


class BillLine(_Event):
    """One line of the memory bill. `measured_mib` is None before the load or where unknown."""

    name: BillItem
    planned_mib: float
    measured_mib: float | None = None


REPEATED_SHARE = 0.1  # of an answer, drafted from the text before: its speed is no usual one
_SPEED = ("disk_mib_s", "compute_s", "tokens_per_pass", "drafted_tok_s", "undrafted_tok_s")


class Bill(_Event):
    """The memory that a model needs with these settings, beside the budget.

    A streamed model has the lines "pinned" and "slots" instead of "weights", and a streamed mixture
    also "experts".
    """

    lines: tuple[BillLine, ...]
    budget_mib: float
    context_length: int = 0  # tokens that the line of the KV cache has memory for; 0 is unknown
    streamed_mib: float = 0.0  # read from the disk in each pass, when the context is full
    short_streamed_mib: float = 0.0  # the same while a conversation is short
    experts_kept: CacheStrategy = CacheStrategy.PINNED  # of a streamed mixture, never `auto`
    disk_mib_s: float = 0.0  # measured speed of the file's drive; 0 is not known
    compute_s: float = 0.0  # computing time of a token that reading from the drive does not hide

    tokens_per_pass: float = 1.0  # expected, with a draft model
    drafted_tok_s: float = 0.0  # expected, with a draft model; 0 without one or where unknown
    undrafted_tok_s: float = 0.0  # expected without the draft model, under the same budget

    @property
    def total_mib(self) -> float:
        """The sum of the planned lines."""
        return sum(line.planned_mib for line in self.lines)

    @property
    def fits(self) -> bool:
        """Whether the plan stays inside the budget."""
        return self.total_mib <= self.budget_mib

    @property
    def streams(self) -> bool:
        """Whether the model runs from the disk."""
        return any(line.name is BillItem.SLOTS for line in self.lines)

    def with_measured(self, mib: Mapping[str, float | None]) -> Bill:
        """Return this bill with these measured sizes; the other lines have none."""
        lines = (
            each.model_copy(update={"measured_mib": mib.get(each.name)}) for each in self.lines
        )
        return self.model_copy(update={"lines": tuple(lines)})

    def with_speed_of(self, other: Bill) -> Bill:
        """Return this bill with what another one of the same model expects of the speed."""
        return self.model_copy(update={key: getattr(other, key) for key in _SPEED})

    def mib_of(self, *items: BillItem) -> float:
        """The planned sum of these lines; 0 for those that the bill does not have."""
        return sum(line.planned_mib for line in self.lines if line.name in items)

    @property
    def disk_tok_s(self) -> float:
        """Expected tokens a second in a short context; 0 where unknown or nothing is read."""
        return self.tok_s_reading(self.short_streamed_mib)

    def tok_s_reading(self, mib: float) -> float:
        """Return tokens a second if each token reads `mib`; 0 where unknown or nothing is read."""
        if mib <= 0 or not self.disk_mib_s:
            return 0.0
        return 1 / (mib / self.disk_mib_s + self.compute_s)


class LoadProgress(_Event):
    """The share of the weights read so far, 0 to 1; the first has the planned bill."""

    kind: Literal["load_progress"] = "load_progress"
    fraction: float
    bill: Bill | None = None


class TemplateSource(StrEnum):
    """The reason why a chat template is used."""

    FILE = "file"  # the model file contains it
    CHOSEN = "chosen"  # the user chose it
    FAMILY = "family"  # the model file has none; architecture and vocabulary name the family
    COMPLETION = "completion"  # it has none, and is a base model or of no known family: plain text


class TemplateUsed(_Event):
    """The chat template of a loaded model.

    `name` is that of a template from the list, empty for one from the model's or the user's file.
    """

    name: str = ""
    source: TemplateSource = TemplateSource.FILE


class GraphicsUse(_Event):
    """A graphics processor that reads prompts. `device` is empty where none does."""

    device: str = ""
    driver: str = ""
    ratio: float = 0.0  # measured: how many times as fast; 0 is unknown
    driver_mib: float = 0.0
    own_mib: float = 0.0  # of the buffers, where they are in a card's own memory
    others: tuple[str, ...] = ()  # further devices of this computer
    stopped: str = ""  # the device that is not used, because it failed


class ModelFacts(_Event):
    """Facts about a loaded model."""

    path: FilePath
    name: str
    architecture: str
    file_mib: float
    parameters: int
    quantisation: str
    context_length: int  # in force
    context_trained: int  # the longest the model was trained for
    vocabulary: int
    reasons: bool  # its chat template has thinking tags
    engine: str  # "llama.cpp", with its build
    format: str = ""  # of the file: "GGUF 3"
    ignored: tuple[str, ...] = ()  # keys of settings that this engine does not use
    template: TemplateUsed = TemplateUsed()
    graphics: GraphicsUse = GraphicsUse()
    embedding_model: str = ""  # the name of one that was loaded too

    @property
    def title(self) -> str:
        """The model's name with the type of its weights."""
        return title(self.name, self.quantisation)


class ModelLoaded(_Event):
    """The model is loaded and ready."""

    kind: Literal["model_loaded"] = "model_loaded"
    facts: ModelFacts
    bill: Bill
    load_s: float
    threads: int
    threads_prefill: int

    def usual_tok_s(self, stats: GenerationStats) -> float:
        """Tokens a second of an answer, where another one would have them too; else 0.

        Without a draft model, tokens are drafted from the text before: where the answer repeats it,
        the model is faster than it is with a text of its own.
        """
        repeats = stats.accepted > REPEATED_SHARE * stats.completion_tokens
        return 0.0 if repeats and self.bill.tokens_per_pass <= 1.0 else stats.decode_tok_s


class BudgetChanged(_Event):
    """The bill of the loaded model under a new budget."""

    kind: Literal["budget_changed"] = "budget_changed"
    bill: Bill


class PrefillProgress(_Event):
    """The prompt is being read: `done` of `total` tokens, `cached` of them remembered."""

    kind: Literal["prefill_progress"] = "prefill_progress"
    done: int
    total: int
    cached: int


class ThinkingDelta(_Event):
    """The next piece of the model's reasoning."""

    kind: Literal["thinking_delta"] = "thinking_delta"
    text: str
    completion_tokens: int = 0
    elapsed_s: float = 0.0


class TokenLogprob(_Event):
    """A token of the answer with the natural logarithm of its probability, before any sampler.

    `top` has the most likely tokens at its place, the most likely first. `data` are the token's
    bytes: a character may be spread over several tokens.
    """

    token: int
    data: tuple[int, ...]
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


class AnswerDelta(_Event):
    """The next piece of the answer. `completion_tokens` counts all tokens generated so far.

    `logprobs` are those of the tokens that made this text, where the settings ask for them.
    """

    kind: Literal["answer_delta"] = "answer_delta"
    text: str
    completion_tokens: int = 0
    elapsed_s: float = 0.0
    logprobs: tuple[TokenLogprob, ...] = ()


class ThinkingFinished(_Event):
    """The reasoning block ended after `seconds`, for the reason `end`. The answer follows."""

    kind: Literal["thinking_finished"] = "thinking_finished"
    seconds: float
    end: ThinkingEnd = ThinkingEnd.MODEL


_COUNTERS = ("read_mib", "io_wait_s", "hits", "misses", "expert_hits", "expert_misses", "passes")


class WeightsStats(_Event):
    """Sizes and counters of a model whose weights are streamed.

    Sizes are current. Counters run since the load; in `GenerationStats`, since the answer began.
    """

    pinned_mib: float = 0.0  # resident or being loaded, experts included
    streamed_mib: float = 0.0  # read in each pass; of experts as many as is expected
    read_mib: float = 0.0  # the load's own reads excluded
    io_wait_s: float = 0.0  # the computation waited so long for the disk
    hits: int = 0  # uses of a weight, or of one expert, that was in memory
    misses: int = 0  # uses of one that had to be read
    expert_hits: int = 0  # part of `hits`
    expert_misses: int = 0
    strategy: CacheStrategy = CacheStrategy.PINNED  # the one in use, never `auto`
    experts_separate: bool = True  # always; programs that read the JSON of earlier versions use it
    experts_mib: float = 0.0  # part of `pinned_mib`
    loading_mib: float = 0.0  # part of `pinned_mib`, not resident yet
    slots_mib: float = 0.0  # the prefetch ring
    slots_filled_mib: float = 0.0  # part of it, resident already
    passes: int = 0  # over all layers
    direct: bool = True  # reads bypass the page cache

    @property
    def hit_rate(self) -> float:
        """The share of uses that needed no read; 1 where nothing was used."""
        uses = self.hits + self.misses
        return self.hits / uses if uses else 1.0

    @property
    def expert_hit_rate(self) -> float | None:
        """The hit rate of experts alone; None where none were used."""
        uses = self.expert_hits + self.expert_misses
        return self.expert_hits / uses if uses else None

    def since(self, earlier: WeightsStats) -> WeightsStats:
        """Return these stats with the counters reduced by those of `earlier`."""
        return self.model_copy(
            update={key: getattr(self, key) - getattr(earlier, key) for key in _COUNTERS}
        )


class MemoryState(_Event):
    """The memory a loaded model may use now. `short`: less than wanted, for lack of memory."""

    budget_mib: float
    wanted_mib: float
    batch: int  # tokens of a prompt read at once
    short: bool
    streams: bool  # it runs from the disk, so its budget can change
    draft_released: bool = False  # the draft model is freed: answers are slower with it


class GenerationStats(_Event):
    """Counts and times of one answer. Rates are derived, so they cannot disagree.

    `inside_thinking`: the end came before the thinking block was closed, so there is no answer;
    also with the reason STOP. For a continued answer, counts and times are those of the
    continuation.
    """

    finish_reason: FinishReason
    inside_thinking: bool = False
    thinking_end: ThinkingEnd | None = None  # None without a closed thinking block
    stop_sequence: str = ""  # the one that ended the answer, if one did
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt, found in the KV cache or on disk
    restored_tokens: int = 0  # of them: read from the disk for this answer
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
    drafted: int = 0  # tokens that proposers drafted and that were computed along
    accepted: int = 0  # of the drafted tokens, those the sampler chose
    draft_s: float = 0.0  # part of `decode_s`, spent on drafting
    draft_released: bool = False  # the draft model is freed: answers are slower with it
    weights: WeightsStats | None = None  # of a model that runs from the disk

    @property
    def prefill_tok_s(self) -> float:
        """Prompt tokens computed per second; cached tokens do not count."""
        return (self.prompt_tokens - self.cached_tokens) / self.prefill_s if self.prefill_s else 0.0

    @property
    def decode_tok_s(self) -> float:
        """Tokens per second after the first one."""
        return (self.completion_tokens - 1) / self.decode_s if self.decode_s > 0 else 0.0

    @property
    def tokens_per_pass(self) -> float:
        """Tokens per pass over the weights during decode."""
        return self.completion_tokens / max(1, self.completion_tokens - self.accepted)


class AnswerSource(_Event):
    """A passage of a document that the model was sent as [n]; `cited`: the answer names it.

    `sentence` is the one of `text` that is nearest to the answer and its question.
    """

    n: int
    document: str  # its file's name
    page: int | None = None
    place: str = ""  # the page, row, line or heading, in the current language
    text: str
    sentence: str = ""
    cited: bool
    picture_confidence: float | None = None  # from 0 to 1, of a text read from a picture


class GenerationFinished(_Event):
    """The last event of every answer. `sources` are passages of documents: see `documents.sources`.

    Where no passage carries the answer, but text of pictures was sent, the best of that is here.
    """

    kind: Literal["generation_finished"] = "generation_finished"
    stats: GenerationStats
    sources: tuple[AnswerSource, ...] = ()


class PromptCacheState(_Event):
    """The size of the prompts on disk; `problem` is why none can be saved, empty where they can."""

    kind: Literal["prompt_cache_state"] = "prompt_cache_state"
    disk_mib: float = 0.0
    budget_mib: float = 0.0
    segments: int = 0
    checkpoints_mib: float = 0.0  # of `disk_mib`: states of recurrent layers
    documents_mib: dict[str, float] = {}  # of `disk_mib`: what goes with each document
    written_today_mib: float = 0.0
    problem: str = ""


LoadEvent = LoadProgress | ModelLoaded | BudgetChanged | PromptCacheState
GenerationEvent = (
    PrefillProgress | ThinkingDelta | AnswerDelta | ThinkingFinished | GenerationFinished
)
Event = Annotated[LoadEvent | GenerationEvent, Field(discriminator="kind")]
