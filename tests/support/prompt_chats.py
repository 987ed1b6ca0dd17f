"""Chats of some hundred tokens, engines with and without a folder for prompts, their answers."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.core.events import AnswerDelta, GenerationFinished, GenerationStats, ThinkingDelta
from deepseek_r1.core.messages import AnswerRequest, Message, Role
from deepseek_r1.core.settings import DraftMode, KVType, LoadSettings, SamplingSettings
from deepseek_r1.engine.interface import Engine, OpenRequest
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.inference.loading import open_engine
from deepseek_r1.weights.residency import Residency, least_weights_mib, plan_residency

Opener = Callable[..., Engine]


@dataclass
class Answered:
    """`logprobs` are those of its tokens, where the sampling wants them."""

    text: str
    stats: GenerationStats
    logprobs: tuple[float, ...] = ()


def open_with_cache(
    cache: PromptCache | None,
    path: Path,
    *,
    kept: float | None = None,
    kv_type: KVType = KVType.F16,
    context_length: int = 2048,
    micro_batch: int = 64,
    drafts: DraftMode = DraftMode.AUTO,
) -> Engine:
    """An engine of one thread; streamed where about the share `kept` of its weights stays.

    Close it before the next one is opened: a folder belongs to one engine.
    """
    settings = LoadSettings(
        context_length=context_length,
        kv_type=kv_type,
        micro_batch=micro_batch,
        threads=1,
        threads_prefill=1,
        drafts=drafts,
    )
    header = read_header(path)
    residency = None if kept is None else _residency(header, kept)
    request = OpenRequest(
        header, settings, 1, lambda _: True, residency=residency, prompt_cache=cache
    )
    return open_engine(request)


def _residency(header: ModelHeader, kept: float) -> Residency:
    """Of the weights that can stream, about the share `kept` stays in memory; of 2.0 all."""
    least = least_weights_mib(header)
    planned = plan_residency(header, least + kept * plan_residency(header, least).streamed_mib)
    assert bool(planned.streamed) == (kept < 1)
    return planned


def system(text: str) -> Message:
    return Message(role=Role.SYSTEM, content=text)


def user(text: str) -> Message:
    return Message(role=Role.USER, content=text)


def assistant(text: str) -> Message:
    return Message(role=Role.ASSISTANT, content=text)


def long_text(seed: int, count: int = 300) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(["a", "b", "in", "the", "12", "er"]) for _ in range(count))


def answered(
    engine: Engine, messages: list[Message], sampling: SamplingSettings, schema: str = ""
) -> Answered:
    text, stats = "", None
    logprobs: list[float] = []
    for event in engine.stream(AnswerRequest(messages, sampling, schema)):
        if isinstance(event, AnswerDelta):
            logprobs += (each.logprob for each in event.logprobs)
        if isinstance(event, AnswerDelta | ThinkingDelta):
            text += event.text
        elif isinstance(event, GenerationFinished):
            stats = event.stats
    assert stats is not None
    return Answered(text, stats, tuple(logprobs))


def prepared(
    engine: Engine, messages: list[Message], *, compute: bool = True, owner: str = "1"
) -> tuple[int, int, int]:
    """Tokens of the next prompt that are there, all of them, and those that were found."""
    last = list(engine.prepare(messages, owner=owner, compute=compute))[-1]
    return last.done, last.total, last.cached
