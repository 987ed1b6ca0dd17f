"""Every setting of the engine, declared once: key, type, range, default, words, reload needed.

The window's panel, the command line and the host's protocol are all derived from these models.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core.words import N_


class Takes(StrEnum):
    """When a changed setting is in force."""

    NOW = "now"  # between two tokens
    NEXT = "next"  # with the next answer
    RELOAD = "reload"  # after the model is loaded again


class KVType(StrEnum):
    """How the KV cache is stored."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class CacheStrategy(StrEnum):
    """Which weights stay in memory when not all fit."""

    AUTO = "auto"
    PINNED = "pinned"
    LRU = "lru"
    LFU = "lfu"


@dataclass(frozen=True, slots=True)
class Words:
    """A setting's title, what it costs or does, its unit, and when a change takes hold."""

    title: str
    help: str
    takes: Takes
    unit: str = ""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def words(cls, key: str) -> Words:
        """The `Words` declared for `key`."""
        return next(m for m in cls.model_fields[key].metadata if isinstance(m, Words))

    @classmethod
    def bounds(cls, key: str) -> tuple[float, float]:
        """The least and the greatest value allowed for a numeric `key`."""
        found: dict[str, Any] = {}
        for item in cls.model_fields[key].metadata:
            for name in ("ge", "le"):
                if hasattr(item, name):
                    found[name] = getattr(item, name)
        return found["ge"], found["le"]


class LoadSettings(_Settings):
    """How a model is held in memory and computed."""

    memory_budget: Annotated[
        int,
        Field(ge=256, le=1_048_576),
        Words(
            N_("Memory budget"),
            N_("The most the whole application may use: window, engine, weights and context."),
            Takes.RELOAD,
            "MiB",
        ),
    ] = 2048
    threads: Annotated[
        int,
        Field(ge=0, le=512),
        Words(
            N_("Threads for writing"),
            N_(
                "Processor cores used to write an answer. Automatic leaves one for everything else."
            ),
            Takes.NOW,
        ),
    ] = 0
    threads_prefill: Annotated[
        int,
        Field(ge=0, le=512),
        Words(
            N_("Threads for reading"),
            N_("Processor cores used to read your message. Automatic uses all real cores."),
            Takes.NOW,
        ),
    ] = 0
    context_length: Annotated[
        int,
        Field(ge=256, le=1_048_576),
        Words(
            N_("Context"),
            N_("How much of the conversation the model can see. Every token costs memory."),
            Takes.RELOAD,
            N_("tokens"),
        ),
    ] = 4096
    micro_batch: Annotated[
        int,
        Field(ge=16, le=2048),
        Words(
            N_("Batch"),
            N_("Tokens read at once. More reads a long message faster and costs memory."),
            Takes.RELOAD,
            N_("tokens"),
        ),
    ] = 256
    kv_type: Annotated[
        KVType,
        Words(
            N_("Context precision"),
            N_("q8_0 halves the memory of the context with hardly any loss, q4_0 quarters it."),
            Takes.RELOAD,
        ),
    ] = KVType.F16
    swap_enabled: Annotated[
        bool,
        Words(
            N_("Swap to disk"),
            N_("Let a model larger than the budget run from the disk."),
            Takes.RELOAD,
        ),
    ] = False
    cache_strategy: Annotated[
        CacheStrategy,
        Words(
            N_("Cache strategy"),
            N_(
                "Which weights stay in memory when not all fit. What every token needs is pinned "
                "as far as it fits. A mixture's experts stay by who came first (pinned), by their "
                "last use (LRU) or by how often they are used (LFU). Automatic takes LFU for them."
            ),
            Takes.RELOAD,
        ),
    ] = CacheStrategy.AUTO
    enable_chunk_loading: Annotated[
        bool,
        Words(
            N_("Read in chunks"),
            N_("Read and count streamed weights in whole chunks; off, in single memory pages."),
            Takes.RELOAD,
        ),
    ] = True
    chunk_size_kib: Annotated[
        int,
        Field(ge=64, le=8192),
        Words(
            N_("Chunk size"),
            N_(
                "Streamed weights are read and their memory is counted in this unit. Neighbouring "
                "chunks are read together, up to 4 MiB."
            ),
            Takes.RELOAD,
            "KiB",
        ),
    ] = 512


class SamplingSettings(_Settings):
    """How the next token is chosen. The defaults are DeepSeek's advice for R1 (model card)."""

    temperature: Annotated[
        float,
        Field(ge=0.0, le=5.0),
        Words(
            N_("Temperature"),
            N_("0 always takes the likeliest word. DeepSeek advises 0.6 for R1."),
            Takes.NEXT,
        ),
    ] = 0.6
    top_p: Annotated[
        float,
        Field(ge=0.0, le=1.0),
        Words(
            N_("Top-p"),
            N_("Only the likeliest words that together reach this share are considered."),
            Takes.NEXT,
        ),
    ] = 0.95
    top_k: Annotated[
        int,
        Field(ge=0, le=1000),
        Words(
            N_("Top-k"),
            N_("Only this many of the likeliest words are considered; 0 for all."),
            Takes.NEXT,
        ),
    ] = 0
    min_p: Annotated[
        float,
        Field(ge=0.0, le=1.0),
        Words(
            N_("Min-p"),
            N_("Words less likely than this share of the likeliest are left out."),
            Takes.NEXT,
        ),
    ] = 0.0
    repeat_penalty: Annotated[
        float,
        Field(ge=1.0, le=2.0),
        Words(N_("Repeat penalty"), N_("Above 1 makes recent words less likely."), Takes.NEXT),
    ] = 1.0
    max_tokens: Annotated[
        int,
        Field(ge=1, le=1_048_576),
        Words(
            N_("Longest answer"),
            N_("The answer stops here, thinking included."),
            Takes.NEXT,
            N_("tokens"),
        ),
    ] = 2048
    seed: Annotated[
        int,
        Field(ge=-1, le=4_294_967_294),
        Words(
            N_("Seed"),
            N_("The same seed gives the same answer; -1 draws a new one each time."),
            Takes.NEXT,
        ),
    ] = -1

    @property
    def reproducible(self) -> bool:
        """The same question gets the same answer: a seed was given, or nothing is drawn."""
        return self.seed >= 0 or self.temperature == 0.0
