"""The interface that every engine implements."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

from deepseek_r1.core.errors import DraftUnfit
from deepseek_r1.core.events import (
    AnswerSource,
    GenerationEvent,
    GenerationStats,
    PrefillProgress,
    TemplateUsed,
    TokenLogprob,
    WeightsStats,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import AnswerRequest, Message, PartialAnswer, PromptInput
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.kernel_times import KernelTimes
from deepseek_r1.weights.residency import Residency

if TYPE_CHECKING:
    from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache

Progress = Callable[[float], bool]  # called with fractions of a load; False stops it


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """A whole answer: `text` without the thinking, `thinking`, and the stats.

    `logprobs` are those of the answer's tokens, where the settings ask for them. `sources` are
    passages of documents: those that the answer cites, then those with names and numbers of it.
    """

    text: str
    thinking: str
    stats: GenerationStats
    logprobs: tuple[TokenLogprob, ...] = ()
    sources: tuple[AnswerSource, ...] = ()

    @property
    def partial(self) -> PartialAnswer:
        """This text as the beginning of its continuation; see `PartialAnswer.extended`."""
        return PartialAnswer(
            thinking=self.thinking, text=self.text, inside_thinking=self.stats.inside_thinking
        )


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A model to load and its settings. `sequences` is the most answers computed together.

    `chat_template` is a name from the list or a template's source; empty for the file's own.

    `residency` is the plan for streamed weights, None where all weights are in memory.
    `prompt_cache` keeps prompts on the disk. `isolated`: an old file is read by a child process.
    `draft` is the draft model, whose tokens `vocabulary` translates; `residency_without_draft` is
    the plan for streamed weights once it is freed. `draft_released`:
    it is left out, since answers were slower with it. `embedding_model` compares passages with a
    question. `graphics` is the open device that reads prompts; empty for none. `times` decide which
    kernels multiply, and the layout of weights.
    """

    header: ModelHeader
    settings: LoadSettings
    sequences: int
    on_progress: Progress
    residency: Residency | None = None
    prompt_cache: PromptCache | None = None
    chat_template: str = ""
    isolated: bool = False
    draft: ModelHeader | None = None
    vocabulary: VocabularyMap | None = None
    residency_without_draft: Residency | None = None
    draft_released: bool = False
    embedding_model: ModelHeader | None = None
    graphics: str = ""
    times: KernelTimes = field(default_factory=KernelTimes)

    @property
    def repacks(self) -> bool:
        """Whether weights that are all in memory get llama.cpp's layout for the processor."""
        # A graphics device multiplies by the file's layout.
        return self.residency is None and not self.graphics and self.times.repacks(self.header)


class AnswerBatch(Protocol):
    """Answers that are computed together, each known by a key. For the thread that steps it.

    `cancel` and `end_thinking` may come from any thread.
    """

    @property
    def busy(self) -> bool:
        """Whether there is an answer."""

    def add(self, key: int, request: AnswerRequest) -> None:
        """Take a request. Raises PromptTooLong, TemplateUnusable, WrongUsage, EngineFailed."""

    def step(self) -> list[tuple[int, GenerationEvent]]:
        """Compute once; returns the events that came of it, each with its key.

        The last event of each answer is a GenerationFinished. Raises EngineFailed.
        """

    def cancel(self, key: int) -> None:
        """End an answer, in the middle of a computation too."""

    def end_thinking(self, key: int) -> None:
        """Close the thinking block of an answer at its next token."""

    def drop_all(self) -> list[tuple[int, GenerationEvent]]:
        """Forget all answers after a failure; returns the events of their text so far."""


class Engine(Protocol):
    """A loaded model that generates answers.

    `stream`, `complete_many`, `prepare`, `save_prompt` and `close` are for one thread at a time;
    the caller ensures that. `cancel`, `end_thinking` and `set_threads` may come from any thread;
    the rest only reads.
    """

    name: str  # "llama.cpp 1.2.3"
    reasons: bool  # the chat template has thinking tags
    template: TemplateUsed
    ignored: tuple[str, ...]  # keys of settings that this engine does not use

    @property
    def last_progress(self) -> float:
        """`time.monotonic()` of the last progress while computing."""

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for decode and for prefill in force, none of them 0."""

    @property
    def context_used(self) -> int:
        """Tokens in the context."""

    @property
    def weights_stats(self) -> WeightsStats | None:
        """Counters of weight streaming; None where all weights are in memory."""

    @property
    def draft_released(self) -> bool:
        """Whether the draft model was freed, in this load or before, since answers are slower."""

    def set_residency(self, residency: Residency, without_draft: Residency | None = None) -> None:
        """Change the plan for streamed weights, in force with the next token. From any thread.

        `without_draft` is the plan once the draft model is freed; None where there is none.
        """

    def apply_residency(self) -> None:
        """Put a changed plan in force now. Only while nothing is computed.

        Where weights cannot be read, the next pass tries again, and raises EngineFailed.
        """

    def limit_batch(self, tokens: int) -> None:
        """Limit the prompt tokens of one computation, from the next one on. From any thread."""

    def measured_mib(self) -> Mapping[str, float]:
        """Return the memory that was allocated, by the names of the bill's lines."""

    def count_tokens(self, messages: PromptInput, *, most_tokens: int = 0) -> int:
        """Return the length of the prompt that these messages make.

        With `most_tokens`, TextTooLong may be raised for a longer one, which takes less time.
        """

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text; with `special`, markers become control tokens."""

    def token_bytes(self, tokens: Sequence[int]) -> bytes:
        """Return the text of tokens in UTF-8; control tokens have none. Raises WrongUsage."""

    def embed(self, text: str) -> list[float]:
        """Return the embedding of a text, of length 1. A `cancel` ends it with EngineFailed.

        Raises PromptTooLong, WrongUsage, EngineFailed.
        """

    def similarities(self, question: str, passages: Sequence[str]) -> list[float]:
        """Return how near each passage is to a question, from -1 to 1, by the embedding model.

        A `cancel` ends it with EngineFailed. Raises WrongUsage where none is loaded, EngineFailed.
        """

    def stream(self, request: AnswerRequest) -> Iterator[GenerationEvent]:
        """Generate one answer. Its last event, and only that, is a GenerationFinished.

        Raises PromptTooLong, TemplateUnusable, WrongUsage, EngineFailed.
        """

    def prepare(
        self, messages: Sequence[Message], *, owner: str, compute: bool
    ) -> Iterator[PrefillProgress]:
        """Compute or restore the prompt that the next message will continue.

        The prompt is the conversation as the template renders it before another message: without
        past thinking. Tokens on the disk are restored, the rest is prefilled if `compute`, and
        segments that the disk lacks are written for `owner`. A `cancel` ends it between two
        computations.
        """

    def save_prompt(self, seconds: float) -> None:
        """Write segments that the last `prepare` did not, for at most `seconds`."""

    def complete_many(
        self, prompts: Sequence[PromptInput], sampling: SamplingSettings
    ) -> list[GenerationResult]:
        """Answer each prompt, together as far as the context has space for them."""

    def open_batch(self) -> AnswerBatch:
        """Return a batch, empty but for what its last answers left in the cache.

        Until nothing is in it any more, nothing else may be computed. Raises WrongUsage.
        """

    def reset_cancel(self) -> None:
        """Discard a `cancel` or an `end_thinking` that came while nothing was running."""

    def cancel(self) -> None:
        """End the running answer within 200 ms; it finishes as CANCELLED."""

    def end_thinking(self) -> None:
        """Close the thinking block of the running answer within 300 ms; the answer goes on."""

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Set the threads from the next token on. 0 is automatic."""

    def close(self) -> None:
        """Free all memory."""


_MAIN = ("llama.cpp", "llama-cpp-python")
_LEGACY = ("ctransformers", "ctransformers")


def engine_name(*, legacy: bool = False) -> str:
    """Return the name and build of the main engine, or of the one for old files."""
    name, package = _LEGACY if legacy else _MAIN
    version = package_version(package)
    if not version or name == package:
        return f"{name} {version}".rstrip()
    return f"{name} ({package} {version})"


def package_version(package: str) -> str:
    """Return its version; empty in a bundle that comes without the packages' metadata."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@cache
def import_low_level(package: str, module: str, distribution: str) -> Any:
    """Import `package.module`, with `package` as an empty module that has only a search path.

    The names are free again afterwards: others in this process import the whole package. Raises
    ImportError, with the name of the `distribution` where it is not installed.
    """
    if package in sys.modules:
        return importlib.import_module(f"{package}.{module}")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{distribution} is not installed")
    bare = types.ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations)
    bare.__spec__ = spec
    sys.modules[package] = bare
    try:
        return importlib.import_module(f"{package}.{module}")
    finally:
        for name in [each for each in sys.modules if f"{each}.".startswith(f"{package}.")]:
            del sys.modules[name]


UNMAPPED = -1
_LEAST_SHARE = 0.9  # of the target's tokens that have to be the same
_PADDING = re.compile(rb"\[PAD\d+\]|<\|?(unused|reserved|dummy|extra)[^<>]*>", re.IGNORECASE)


class VocabularyMap:
    """The translation in both directions. Raises DraftUnfit for vocabularies of two families."""

    def __init__(
        self, target: Sequence[bytes], draft: Sequence[bytes], *, target_name: str, draft_name: str
    ) -> None:
        """`target` and `draft` are the texts of all tokens, in the order of their ids."""
        ids = {text: token for token, text in enumerate(target) if not _PADDING.fullmatch(text)}
        self.to_target = array("i", (ids.get(text, UNMAPPED) for text in draft))
        """The target's token for each of the draft model's; UNMAPPED where it has none."""
        same = sum(one == other for one, other in zip(target, draft, strict=False))
        if same < _LEAST_SHARE * len(ids):
            detail = tr(
                "{share:.0%} of the model's {count:,} tokens are the same in the draft model.",
                share=same / max(1, len(ids)),
                count=len(ids),
            )
            raise DraftUnfit(draft=draft_name, model=target_name, detail=detail)
        substitute = next(token for token, to in enumerate(self.to_target) if to != UNMAPPED)
        self.to_draft = array("i", [substitute] * len(target))
        """The draft model's token for each of the target's; a fixed one where it has none."""
        for token, to in enumerate(self.to_target):
            if to != UNMAPPED:
                self.to_draft[to] = token


def compared_vocabularies(target: ModelHeader, draft: ModelHeader) -> VocabularyMap:
    """Compare the vocabularies in two models' files. Raises DraftUnfit, ModelRefused."""
    texts = [read_container(each.parts[0]).tokens for each in (target, draft)]
    return VocabularyMap(*texts, target_name=target.name, draft_name=draft.name)
