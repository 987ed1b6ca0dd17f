"""Declares every setting of the engine once: key, type, range, default, texts, when it applies.

The window's panel, the command line, the server's requests and the host's protocol are derived
from these models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Final, TypedDict

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.i18n import N_


class AppliesWhen(StrEnum):
    """When a changed setting applies."""

    NOW = "now"  # between two tokens
    NEXT = "next"  # with the next answer
    RELOAD = "reload"  # after the model is loaded again


class KVType(StrEnum):
    """The number type of the KV cache."""

    AUTO = "auto"  # f16, or q8_0 where the engine's code converts f16 one number at a time
    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class CacheStrategy(StrEnum):
    """The strategy that decides which weights stay in memory when not all of them fit."""

    AUTO = "auto"
    PINNED = "pinned"
    LRU = "lru"
    LFU = "lfu"


class DraftMode(StrEnum):
    """The proposers that draft tokens while a model writes."""

    AUTO = "auto"  # from the text, while the model runs from the disk
    OFF = "off"
    LOOKUP = "lookup"  # from the text
    MODEL = "model"  # from the text and with a draft model


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """A setting: when a change applies, title, help, unit, and a number's least and greatest."""

    applies: AppliesWhen
    title: str
    help: str
    unit: str = ""
    between: tuple[float, float] | None = None


def _setting(
    applies: AppliesWhen,
    default: Any,
    title: str,
    help_text: str,
    *,
    unit: str = "",
    between: tuple[float, float] | None = None,
    max_length: int | None = None,
) -> Any:
    """Declare a field of pydantic's that has a `SettingInfo`."""
    least, most = between or (None, None)
    field = Field(default, ge=least, le=most, max_length=max_length)
    field.metadata.append(SettingInfo(applies, title, help_text, unit, between))
    return field


_at_once = partial(_setting, AppliesWhen.NOW)
_next_answer = partial(_setting, AppliesWhen.NEXT)
_on_reload = partial(_setting, AppliesWhen.RELOAD)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def info(cls, key: str) -> SettingInfo:
        """Return the `SettingInfo` declared for `key`."""
        return next(m for m in cls.model_fields[key].metadata if isinstance(m, SettingInfo))

    @classmethod
    def bounds(cls, key: str) -> tuple[float, float]:
        """Return the least and greatest value of a numeric `key`. Raises KeyError for others."""
        if (between := cls.info(key).between) is None:
            raise KeyError(key)
        return between


MOST_STOP_SEQUENCES: Final = 16
MOST_STOP_CHARACTERS: Final = 256
LEAST_BUDGET_MIB: Final = 256  # with which the smallest models run
_CONTAINER_SHARE: Final = 0.95
GRAPHICS_OFF: Final = "off"
GRAPHICS_MEASURED: Final = "measured"  # a device with which this model was measured to be faster
LEAST_CONTEXT_LENGTH: Final = 256  # tokens, of a context that is not automatic


class LoadSettings(_Settings):
    """Settings that decide how a model is loaded and computed.

    A `context_length` of 0 is automatic: `memory.plan.with_context` gives the number.
    """

    memory_budget: int = _on_reload(
        2048,
        N_("Memory budget"),
        N_("The most memory R1 Desk may use in all: window, engine, model and context."),
        unit="MiB",
        between=(LEAST_BUDGET_MIB, 1_048_576),
    )
    threads: int = _at_once(
        0,
        N_("Threads for writing"),
        N_("Processor cores for writing. Automatic follows how busy the computer is."),
        between=(0, 512),
    )
    threads_prefill: int = _at_once(
        0,
        N_("Threads for reading"),
        N_("Processor cores for reading. Automatic uses all physical cores."),
        between=(0, 512),
    )
    context_length: int = _on_reload(
        0,
        N_("Context"),
        N_(
            "How much of the chat the model can read at once. A longer context takes more "
            "memory; automatic uses up to a quarter of the budget."
        ),
        unit=N_("tokens"),
        between=(0, 1_048_576),
    )
    micro_batch: int = _on_reload(
        256,
        N_("Batch"),
        N_("Tokens read at once. More read long messages faster but take more memory."),
        unit=N_("tokens"),
        between=(16, 2048),
    )
    kv_type: KVType = _on_reload(
        KVType.AUTO,
        N_("Context precision"),
        N_(
            "Half takes half the memory with hardly any loss; a quarter loses more. "
            "Automatic is full, or half on old processors."
        ),
    )
    swap_enabled: bool = _on_reload(
        False,
        N_("Run larger models from the disk"),
        N_("Lets a model larger than the memory budget run from the disk, more slowly."),
    )
    cache_strategy: CacheStrategy = _on_reload(
        CacheStrategy.AUTO,
        N_("Cache strategy"),
        N_(
            "Which weights stay in memory when not all fit. Weights that every token "
            "needs come first. The experts of a mixture-of-experts model stay in the "
            "order of their first use (pinned), by their last use (LRU) or by how "
            "often they are used (LFU). Automatic uses LFU."
        ),
    )
    enable_chunk_loading: bool = _on_reload(
        True,
        N_("Read in chunks"),
        N_(
            "On: streamed weights are read and counted in whole chunks. Off: in "
            "single memory pages."
        ),
    )
    chunk_size_kib: int = _on_reload(
        512,
        N_("Chunk size"),
        N_(
            "Streamed weights are read and their memory is counted in this unit. Neighbouring "
            "chunks are read together, up to 1 MiB."
        ),
        unit="KiB",
        between=(64, 8192),
    )
    drafts: DraftMode = _on_reload(
        DraftMode.AUTO,
        N_("Drafts"),
        N_(
            "Guesses several tokens ahead and checks them together, which is faster where "
            "a text repeats itself and while a model runs from the disk. The answer stays the "
            "same. Guesses come from the text so far, or from a small draft model."
        ),
    )
    draft_model: FilePath = _on_reload(
        "",
        N_("Draft model"),
        N_("A small model of the same family that guesses ahead. It shares the memory budget."),
        max_length=4096,
    )

    embedding_model: FilePath = _on_reload(
        "",
        N_("Embedding model"),
        N_(
            "A small model that finds passages of documents by meaning. It shares the "
            "memory budget."
        ),
        max_length=4096,
    )

    graphics: str = _on_reload(
        GRAPHICS_MEASURED,
        N_("Graphics"),
        N_(
            "What reads prompts instead of the processor: off, measured (a graphics "
            "processor, where it was measured to be faster), or part of a graphics "
            "processor's name."
        ),
        max_length=200,
    )

    @property
    def draft_path(self) -> str:
        """The draft model's file; empty where none is to be loaded."""
        return self.draft_model if self.drafts in (DraftMode.AUTO, DraftMode.MODEL) else ""

    @field_validator("context_length")
    @classmethod
    def _require_long_context(cls, length: int) -> int:
        if 0 < length < LEAST_CONTEXT_LENGTH:
            raise ValueError(f"context_length must be 0 or at least {LEAST_CONTEXT_LENGTH}")
        return length


class PromptCacheSettings(_Settings):
    """Settings for what is prepared before the next message."""

    disk_mib: int = _at_once(
        2048,
        N_("Chats ready on disk"),
        N_("Reopened chats continue at once: what the model has read is kept on the disk."),
        unit="MiB",
        between=(0, 65_536),
    )
    prepare_next_turn: bool = _at_once(
        True,
        N_("Prepare the next message"),
        N_("After an answer, the model gets ready for your next message."),
    )


THINKING_BUDGETS: Final[Mapping[str, int | None]] = MappingProxyType(
    {"off": 0, "short": 512, "normal": 2048, "long": 8192, "unlimited": None}
)
"""Names for thinking budgets, in tokens. None is no limit but the context."""


def default_budget(machine_mib: float) -> int:
    """Return the budget in MiB where none is given: the default, or what a small container allows.

    `machine_mib` is the memory of the machine, or the container's limit. The kernel counts some
    memory of its own as a container's, so a part of it is left.
    """
    default = LoadSettings().memory_budget
    return int(max(LEAST_BUDGET_MIB, min(default, machine_mib * _CONTAINER_SHARE)))


_Token = Annotated[int, Field(ge=0)]
_Bias = Annotated[float, Field(ge=-100.0, le=100.0)]
_StopSequence = Annotated[str, Field(min_length=1, max_length=MOST_STOP_CHARACTERS)]


class SamplingSettings(_Settings):
    """Settings for sampling tokens. The defaults follow R1's model card."""

    temperature: float = _next_answer(
        0.6,
        N_("Temperature"),
        N_("0 always picks the most likely token. DeepSeek recommends 0.6 for R1."),
        between=(0.0, 5.0),
    )
    top_p: float = _next_answer(
        0.95,
        N_("Top-p"),
        N_("Only the most likely tokens whose probabilities add up to this share are considered."),
        between=(0.0, 1.0),
    )
    top_k: int = _next_answer(
        0,
        N_("Top-k"),
        N_("Only this many of the most likely tokens are considered; 0 considers all."),
        between=(0, 1000),
    )
    min_p: float = _next_answer(
        0.0,
        N_("Min-p"),
        N_("Tokens less likely than this share of the most likely one are left out."),
        between=(0.0, 1.0),
    )
    repeat_penalty: float = _next_answer(
        1.0,
        N_("Repeat penalty"),
        N_("Values above 1 make recent tokens less likely."),
        between=(1.0, 2.0),
    )
    presence_penalty: float = _next_answer(
        0.0,
        N_("Presence penalty"),
        N_("Values above 0 make every token that the answer has used less likely."),
        between=(-2.0, 2.0),
    )
    frequency_penalty: float = _next_answer(
        0.0,
        N_("Frequency penalty"),
        N_("Values above 0 make a token less likely with each use in the answer."),
        between=(-2.0, 2.0),
    )
    logit_bias: dict[_Token, _Bias] = _next_answer(
        {},
        N_("Logit bias"),
        N_("Added to the logits of single tokens; -100 rules a token out."),
        max_length=1024,
    )
    stop: tuple[_StopSequence, ...] = _next_answer(
        (),
        N_("Stop sequences"),
        N_("The answer ends before the first of these texts. The thinking may contain them."),
        max_length=MOST_STOP_SEQUENCES,
    )
    logprobs: bool = _next_answer(
        False,
        N_("Log probabilities"),
        N_("The answer's tokens come with the logarithm of their probability."),
    )
    top_logprobs: int = _next_answer(
        0,
        N_("Most likely tokens"),
        N_("With log probabilities: this many of the most likely tokens at each place."),
        between=(0, 20),
    )
    max_tokens: int = _next_answer(
        2048,
        N_("Longest answer"),
        N_("Longest answer in tokens, without the thinking."),
        unit=N_("tokens"),
        between=(1, 1_048_576),
    )
    thinking_budget: int | None = _next_answer(
        None,
        N_("Thinking budget"),
        N_("The model stops thinking after this many tokens and answers. 0 turns thinking off."),
        unit=N_("tokens"),
        between=(0, 1_048_576),
    )
    end_repetition: bool = _next_answer(
        True, N_("End repetitions"), N_("A text that only repeats itself is ended.")
    )
    seed: int = _next_answer(
        -1,
        N_("Seed"),
        N_("The same seed gives the same answer. -1 picks a new one each time."),
        between=(-1, 4_294_967_294),
    )

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop_sequence(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @property
    def reproducible(self) -> bool:
        """Whether the same question gets the same answer: a fixed seed or greedy sampling."""
        return self.seed >= 0 or self.temperature == 0.0


def answer_reserve(context_length: int, max_tokens: int) -> int:
    """The tokens of a context that are kept free for an answer: a quarter, or its longest."""
    return max(1, min(max_tokens, context_length // 4))


def most_prompt_tokens(context_length: int, max_tokens: int) -> int:
    """The tokens of a context that a prompt may have."""
    return context_length - answer_reserve(context_length, max_tokens)


class SamplingOptions(TypedDict, total=False):
    """The fields of `SamplingSettings` but `max_tokens` as keywords, for type checkers."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float]
    stop: str | Sequence[str]
    logprobs: bool
    top_logprobs: int
    thinking_budget: int | None
    end_repetition: bool
    seed: int
