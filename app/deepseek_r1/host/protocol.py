"""What the engine's process and its owner say to each other.

Every message is a frozen model told apart by `kind`. A request carries an `id` of the asker's
choice and gets, besides events, exactly one closing reply with the same `id`: `Done`, `Inspected`,
`Counted` or `Failed`. `Cancel` and `Shutdown` have no reply of their own. `Beat` comes unasked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import Bill, Event, MemoryState, ModelFacts, WeightsStats
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import LoadSettings, SamplingSettings

VERSION = 1
INSPECT_DEADLINE_S = 10.0

RequestId = Annotated[int, Field(ge=-(2**53), le=2**53)]
Amount = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# ---- to the engine --------------------------------------------------------------------------


class Inspect(_Frame):
    """What is in this file and what would it cost? Nothing is loaded."""

    kind: Literal["inspect"] = "inspect"
    id: RequestId
    path: str
    settings: LoadSettings = LoadSettings()
    window_mib: Amount = 0.0
    deadline_s: Annotated[float, Field(gt=0)] | None = INSPECT_DEADLINE_S


class Load(_Frame):
    """Load a model in place of the present one. A refused file leaves the present one alone."""

    kind: Literal["load"] = "load"
    id: RequestId
    path: str
    settings: LoadSettings = LoadSettings()
    window_mib: Amount = 0.0
    deadline_s: Annotated[float, Field(gt=0)] | None = None


class Generate(_Frame):
    """Answer this conversation."""

    kind: Literal["generate"] = "generate"
    id: RequestId
    messages: tuple[Message, ...]
    sampling: SamplingSettings = SamplingSettings()
    json_schema: Annotated[str, Field(max_length=65_536)] = ""  # what the answer is held to


class CountTokens(_Frame):
    """How long is this conversation for the loaded model?"""

    kind: Literal["count_tokens"] = "count_tokens"
    id: RequestId
    messages: tuple[Message, ...]


class SetThreads(_Frame):
    """Compute with other thread counts from the next token on; 0 is automatic."""

    kind: Literal["set_threads"] = "set_threads"
    id: RequestId
    threads: Annotated[int, Field(ge=0, le=512)]
    threads_prefill: Annotated[int, Field(ge=0, le=512)]


class SetBudget(_Frame):
    """Another memory budget for a model that runs from the disk, from the next token on; MiB.

    `window_mib` is what the asker's own process takes by now; None keeps what the load said.
    """

    kind: Literal["set_budget"] = "set_budget"
    id: RequestId
    memory_budget: Annotated[int, Field(ge=256, le=1_048_576)]
    window_mib: Amount | None = None


class MeasureThreads(_Frame):
    """Find the thread counts that suit the loaded model, and remember them; up to 20 seconds."""

    kind: Literal["measure_threads"] = "measure_threads"
    id: RequestId


class Unload(_Frame):
    """Give the model's memory back."""

    kind: Literal["unload"] = "unload"
    id: RequestId


class Cancel(_Frame):
    """End the request `id` early: an answer is finished as cancelled, a load fails."""

    kind: Literal["cancel"] = "cancel"
    id: RequestId


class Shutdown(_Frame):
    """End the process."""

    kind: Literal["shutdown"] = "shutdown"


AnsweredRequest = (
    Inspect | Load | Generate | CountTokens | SetThreads | SetBudget | MeasureThreads | Unload
)
Request = AnsweredRequest | Cancel | Shutdown
request_adapter: TypeAdapter[Request] = TypeAdapter(
    Annotated[Request, Field(discriminator="kind")],
)


# ---- from the engine ------------------------------------------------------------------------


class Phase(StrEnum):
    """What the engine's loop is doing."""

    IDLE = "idle"
    LOADING = "loading"
    GENERATING = "generating"
    COUNTING = "counting"
    MEASURING = "measuring"


class Hello(_Frame):
    """The first frame of every engine process."""

    kind: Literal["hello"] = "hello"
    version: int
    pid: Count
    engine: str


class EventFrame(_Frame):
    """Something happened on the way to the answer of request `id`."""

    kind: Literal["event"] = "event"
    id: RequestId
    event: Event


class Inspected(_Frame):
    """What the file is and costs.

    `advice` says what is the nearest thing that fits and `fits_with` are its settings; empty and
    None if all fits.
    """

    kind: Literal["inspected"] = "inspected"
    id: RequestId
    facts: ModelFacts
    bill: Bill
    advice: str
    fits_with: LoadSettings | None = None


class Counted(_Frame):
    """The tokens of a conversation."""

    kind: Literal["counted"] = "counted"
    id: RequestId
    tokens: Count


class Done(_Frame):
    """Request `id` is complete."""

    kind: Literal["done"] = "done"
    id: RequestId


class Failed(_Frame):
    """Request `id` ended with an error."""

    kind: Literal["failed"] = "failed"
    id: RequestId
    report: ErrorReport


class Beat(_Frame):
    """The engine's pulse: every half second while it works, every two seconds otherwise."""

    kind: Literal["beat"] = "beat"
    phase: Phase
    idle_s: Amount  # since the loop's last sign of life; 0 when there is nothing to do
    cpu_s: Amount  # processor time used so far
    rss_mib: Amount
    peak_mib: Amount
    context_used: Count
    context_length: Count  # 0 without a model
    weights: WeightsStats | None = None  # of a model that runs from the disk
    memory: MemoryState | None = None  # what the model may use; None without one
    threads: Count = 0  # that write at present; 0 without a model


ClosingReply = Inspected | Counted | Done | Failed
Reply = Hello | EventFrame | ClosingReply | Beat
reply_adapter: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])
