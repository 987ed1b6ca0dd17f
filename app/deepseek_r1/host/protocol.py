"""The protocol between the engine's process and its owner.

Every message is a frozen model with a `kind`. A request carries an `id` chosen by its sender and
gets, besides events, exactly one closing reply with the same `id`: `DoneReply`, `ErrorReply` or a
`ResultReply` of its own. `CancelRequest`, `EndThinkingRequest` and `ShutdownRequest` have no reply
of their own. A `Heartbeat` is sent without a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import Event, MemoryState, WeightsStats
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.frames import PipeMessage, one_of
from deepseek_r1.core.messages import AnswerRequest, Message, PartialAnswer, RawPrompt
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.memory.load_plan import LoadPlan

VERSION = 5
SAVE_PROMPTS_S = 2.0  # a process gets after ShutdownRequest to write prompts to disk

RequestId = Annotated[int, Field(ge=-(2**53), le=2**53)]
Amount = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0, le=2**53)]
ChatTemplateText = Annotated[str, Field(max_length=262_144)]  # a name from the list, or its source


class Frame(PipeMessage):
    """Base of all messages."""

    model_config = ConfigDict(allow_inf_nan=False)


class _Numbered(Frame):
    id: RequestId


# ---- to the engine --------------------------------------------------------------------------


class PromptCacheFolder(Frame):
    """The folder in which the KV cache of prompts is kept.

    With a budget of 0 nothing is kept. `save_answers`: each answer's conversation is written after
    it, without a `PrepareRequest`.
    """

    path: FilePath
    budget_mib: Annotated[int, Field(ge=0, le=1_048_576)] = 2048
    save_answers: bool = False


class LoadRequest(_Numbered):
    """Loads a model in place of the present one. A refused file leaves that one loaded.

    Once its files are accepted, the process can open no others. For other ones the owner has them
    checked by the header process first, and replaces the process then.
    `chat_template` is a name of the list or a template's source; empty uses the file's
    own or, without one, that of the model's family. `ModelFacts.template` is the result. `plan` is
    what the check has found.
    """

    kind: Literal["load"] = "load"
    path: FilePath
    settings: LoadSettings = LoadSettings()
    window_mib: Amount = 0.0
    chat_template: ChatTemplateText = ""
    prompt_cache: PromptCacheFolder | None = None
    sequences: Annotated[int, Field(ge=1, le=64)] = 1  # answered together
    lock_memory: bool = False  # keep the engine's memory out of the swap space
    plan: LoadPlan | None = None


class GenerateRequest(_Numbered):
    """Generates the answer to a conversation; `json_schema`, JSON text, constrains it.

    `continues` is an answer to these messages that ended early: the events have what follows it.
    With a thinking budget of 0 it closes its thinking block first. A `raw` prompt is continued in
    place of the messages. `reserve` are tokens of the context that must be free for the answer,
    else it is refused with PromptTooLong; a continuation needs none. An answer that `yields` is
    cancelled when another one, a load or an unload is wanted; its owner continues it later.
    """

    kind: Literal["generate"] = "generate"
    messages: tuple[Message, ...] = ()
    raw: RawPrompt | None = None
    sampling: SamplingSettings = SamplingSettings()
    json_schema: Annotated[str, Field(max_length=65_536)] = ""
    continues: PartialAnswer | None = None
    reserve: Count = 0
    yields: bool = False

    def answer(self, text_every_s: float) -> AnswerRequest:
        """Return the answer that is wanted, whose text comes at least that far apart."""
        return AnswerRequest(
            self.messages if self.raw is None else self.raw,
            self.sampling,
            self.json_schema,
            self.continues,
            text_every_s,
            self.reserve if self.raw is None and self.continues is None else 0,
        )


class PrepareRequest(_Numbered):
    """Prepares the next turn of a conversation before its message is there.

    Restores the cache from disk, computes the rest if `compute`, and writes what the disk lacks in
    the name of `owner`, for as long as all whom it names, with spaces between, are there. Every
    other request that computes ends it; a count of tokens waits for it.
    """

    kind: Literal["prepare"] = "prepare"
    messages: tuple[Message, ...]
    owner: Annotated[str, Field(max_length=1 << 20)]
    compute: bool


class RetainPromptsRequest(_Numbered):
    """Deletes from disk the prompts that belong to none of `owners`."""

    kind: Literal["retain_prompts"] = "retain_prompts"
    folder: PromptCacheFolder
    owners: tuple[Annotated[str, Field(max_length=96)], ...]


class CountTokensRequest(_Numbered):
    """Counts a conversation's tokens for the loaded model."""

    kind: Literal["count_tokens"] = "count_tokens"
    messages: tuple[Message, ...]


class TokenizeRequest(_Numbered):
    """Computes a text's tokens for the loaded model; with `special`, markers are control tokens."""

    kind: Literal["tokenize"] = "tokenize"
    text: str
    special: bool = False


class DetokenizeRequest(_Numbered):
    """Computes the text of tokens for the loaded model."""

    kind: Literal["detokenize"] = "detokenize"
    tokens: tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...]


class EmbedRequest(_Numbered):
    """Computes an embedding of a text."""

    kind: Literal["embed"] = "embed"
    text: str


class SimilaritiesRequest(_Numbered):
    """Compares passages with a question, by the embedding model."""

    kind: Literal["similarities"] = "similarities"
    question: str
    passages: Annotated[tuple[str, ...], Field(max_length=100)]


class SetThreadsRequest(_Numbered):
    """Changes the thread counts from the next token on; 0 is automatic."""

    kind: Literal["set_threads"] = "set_threads"
    threads: Annotated[int, Field(ge=0, le=512)]
    threads_prefill: Annotated[int, Field(ge=0, le=512)]


class SetBudgetRequest(_Numbered):
    """Changes the budget, in MiB, of a model that runs from the disk, from the next token on.

    `window_mib` is the memory of the owner's process now; None keeps the load's value.
    """

    kind: Literal["set_budget"] = "set_budget"
    memory_budget: Annotated[int, Field(ge=256, le=1_048_576)]
    window_mib: Amount | None = None


class UnloadRequest(_Numbered):
    """Unloads the model."""

    kind: Literal["unload"] = "unload"


class CancelRequest(_Numbered):
    """Ends the request `id` early: an answer finishes as cancelled, a load fails."""

    kind: Literal["cancel"] = "cancel"


class EndThinkingRequest(_Numbered):
    """Closes the thinking block of answer `id`, which goes on from the same cells.

    Without effect once the answer has begun.
    """

    kind: Literal["end_thinking"] = "end_thinking"


class ShutdownRequest(Frame):
    """Ends the process."""

    kind: Literal["shutdown"] = "shutdown"


ModelRequest = (
    GenerateRequest
    | CountTokensRequest
    | TokenizeRequest
    | DetokenizeRequest
    | EmbedRequest
    | SimilaritiesRequest
)
AnsweredRequest = (
    LoadRequest
    | ModelRequest
    | PrepareRequest
    | RetainPromptsRequest
    | SetThreadsRequest
    | SetBudgetRequest
    | UnloadRequest
)
Request = AnsweredRequest | CancelRequest | EndThinkingRequest | ShutdownRequest
request_adapter: TypeAdapter[Request] = one_of(Request)


# ---- from the engine ------------------------------------------------------------------------


class EnginePhase(StrEnum):
    """The phase of the engine's loop."""

    IDLE = "idle"
    WORKING = "working"


class Handshake(Frame):
    """The first frame of every engine process."""

    kind: Literal["handshake"] = "handshake"
    version: int
    pid: Count
    engine: str


class EventReply(_Numbered):
    """An event of request `id`, before its closing reply."""

    kind: Literal["event"] = "event"
    event: Event


class CountTokensReply(_Numbered):
    """The number of tokens of a conversation."""

    kind: Literal["counted"] = "counted"
    tokens: Count


class TokensReply(_Numbered):
    """The tokens of a text."""

    kind: Literal["tokens"] = "tokens"
    tokens: tuple[int, ...]


class TextReply(_Numbered):
    """The text of tokens."""

    kind: Literal["text"] = "text"
    text: str


class EmbeddingReply(_Numbered):
    """The embedding of a text, or the similarities of passages."""

    kind: Literal["embedding"] = "embedding"
    values: tuple[float, ...]


class DoneReply(_Numbered):
    """Request `id` is complete."""

    kind: Literal["done"] = "done"


class ErrorReply(_Numbered):
    """Request `id` ended with an error."""

    kind: Literal["failed"] = "failed"
    report: ErrorReport


class Heartbeat(Frame):
    """The engine's state: every half second while it works, every four seconds otherwise."""

    kind: Literal["heartbeat"] = "heartbeat"
    phase: EnginePhase
    idle_s: Amount  # since the loop last moved; 0 without a request
    cpu_s: Amount  # processor time used so far
    rss_mib: Amount  # with the process that renders templates
    peak_mib: Amount
    helper_mib: Amount = 0.0  # that process's part of it
    context_used: Count
    context_length: Count  # 0 without a model
    weights: WeightsStats | None = None  # of a model that runs from the disk
    memory: MemoryState | None = None  # None without a model
    threads: Count = 0  # of the decode at present; 0 without a model


ResultReply = CountTokensReply | TokensReply | TextReply | EmbeddingReply
ClosingReply = ResultReply | DoneReply | ErrorReply
Reply = Handshake | EventReply | ClosingReply | Heartbeat
reply_adapter: TypeAdapter[Reply] = one_of(Reply)


class EngineState(StrEnum):
    """The state of the engine."""

    STOPPED = "stopped"  # no process; the next request starts one
    STARTING = "starting"
    READY = "ready"  # no model
    LOADING = "loading"
    IDLE = "idle"  # a model, waiting
    GENERATING = "generating"
    FAILED = "failed"  # it kept crashing; only `RestartRequest` starts it again


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The engine's state has changed. `detail` and `report` give the reason of a failure."""

    state: EngineState
    detail: str = ""
    report: ErrorReport | None = None


@dataclass(frozen=True, slots=True)
class RestartRequest:
    """Asks the supervisor to restart the process and to reset the restart budget."""


HostEvent = StateChanged | Reply
