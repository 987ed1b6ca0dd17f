"""What every engine offers, whatever computes inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from deepseek_r1.core.events import GenerationEvent, GenerationStats
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.weights.streamed import WeightsStats

Progress = Callable[[float], bool]  # hears fractions of a load; False stops it


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: `text` without the thinking, which is apart."""

    text: str
    thinking: str
    stats: GenerationStats


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """What to load and how. `sequences` is the most answers computed together.

    `weights_mib` is what the weights may take where they are streamed, None where all of them
    are in memory. `automatic_threads` are those for decode and prefill where the settings say 0,
    None where nothing better than the processor's defaults is known.
    """

    header: ModelHeader
    settings: LoadSettings
    sequences: int
    on_progress: Progress
    weights_mib: float | None = None
    automatic_threads: tuple[int, int] | None = None


class Engine(Protocol):
    """A loaded model that answers.

    `stream`, `complete_many` and `close` belong to one thread at a time; the caller sees to that.
    `cancel` and `set_threads` may come from any thread, and everything else only reads.
    """

    name: str  # "llama.cpp 1.2.3"
    reasons: bool  # the model's template knows thinking blocks
    ignored: tuple[str, ...]  # keys of settings that mean nothing to this engine
    last_progress: float  # time.monotonic() of the last sign of life while computing

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for decode and for prefill at present, none of them 0."""
        ...

    @property
    def context_used(self) -> int:
        """Tokens in the context."""
        ...

    @property
    def weights_stats(self) -> WeightsStats | None:
        """What streaming the weights costs; None where all of them are in memory."""
        ...

    def set_weights_budget(self, mib: float) -> None:
        """What streamed weights may take, from the next token on. From any thread.

        Raises BudgetTooSmall.
        """
        ...

    def settle(self) -> None:
        """Take up a changed budget of the weights now. Only while nothing is computed."""
        ...

    def limit_batch(self, tokens: int) -> None:
        """Read at most so many tokens of a prompt at once, from the next time on. Any thread."""
        ...

    def measured_mib(self) -> Mapping[str, float]:
        """What was really allocated, by the names of the bill's lines."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of the prompt these messages make."""
        ...

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        *,
        json_schema: str = "",
        text_every_s: float = 0.0,
    ) -> Iterator[GenerationEvent]:
        """One answer. Its last event, and only that, is a GenerationFinished.

        `json_schema`, as JSON text, is what the answer behind the thinking is held to.
        `text_every_s`: a fast model's text comes in fewer events, so far apart; all of it comes,
        also before a failure.
        Raises PromptTooLong, TemplateUnusable, WrongUsage, EngineFailed.
        """
        ...

    def complete_many(
        self, prompts: Sequence[Sequence[Message]], sampling: SamplingSettings
    ) -> list[Answer]:
        """An answer to each prompt, computed together as far as the context holds them."""
        ...

    def forgive(self) -> None:
        """Forget a `cancel` that came when nothing was running."""
        ...

    def cancel(self) -> None:
        """End the running answer within 200 ms; it finishes as CANCELLED."""
        ...

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Change the threads between two tokens. 0 is automatic."""
        ...

    def suit_threads(self, threads: int, threads_prefill: int) -> None:
        """What automatic means from now on, as it was measured."""
        ...

    def close(self) -> None:
        """Free all memory."""
        ...
