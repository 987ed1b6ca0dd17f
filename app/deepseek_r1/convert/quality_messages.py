"""What is asked of the process that measures a model, and what it answers: lines of JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core.errors import ErrorReport


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evaluate(_Message):
    """Score a text. `rows` is the file of the base's log-probabilities, float32, row after row:
    written where `base` is None, else read and compared with. Lengths are in tokens."""

    kind: Literal["evaluate"] = "evaluate"
    model: Path
    text: Path
    rows: Path
    rows_limit_mib: int
    window: int
    most_scored: int
    memory_budget_mib: int
    threads: int
    base: Measurement | None = None


class Collect(_Message):
    """Watch a text pass through the model. Results go into `folder`, see `importance`.

    The inputs of the matrices in `kept` are written in full, everything else is summed up.
    """

    kind: Literal["collect"] = "collect"
    model: Path
    text: Path
    folder: Path
    kept: tuple[str, ...] = ()
    window: int
    most_tokens: int
    memory_budget_mib: int
    threads: int


class Progress(_Message):
    """So much of the work is done."""

    kind: Literal["progress"] = "progress"
    done: int
    total: int


class Measurement(_Message):
    """One model on one text. Rates are tokens a second; the text is cut into equal windows, and
    the tokens of each one's second half are scored (`scored`), the first half being their context.
    `correct` is the share of them that the model would have chosen first: its accuracy.

    `loaded_mib` is the process's peak after load and speed test, `peak_mib` after everything.
    """

    kind: Literal["measurement"] = "measurement"
    name: str
    file_bytes: int
    quantisation: str
    tokens_sha256: str
    vocabulary: int
    window: int
    scored: int
    nll: float  # mean negative log-likelihood of a scored token, in nats
    nll_error: float  # its standard error
    correct: float
    correct_error: float  # its standard error
    prefill_tok_s: float
    decode_tok_s: float
    loaded_mib: float
    peak_mib: float
    divergence: Divergence | None = None


class Divergence(_Message):
    """How far a model's next-token distributions are from the base's, over the scored tokens.

    Kullback-Leibler, in nats, of this model from the base; `agreement` is the share of positions
    where both would choose the same token first.
    """

    mean: float
    mean_error: float  # standard error
    p99: float
    worst: float
    agreement: float
    agreement_error: float
    by_margin: tuple[Undecided, ...]


class Undecided(_Message):
    """The positions where the base's first choice is `least` to `most` nats ahead of its second.

    `most` is None for the last group, which has no upper end; `differing` of the `positions` have
    another first choice.
    """

    least: float
    most: float | None
    positions: int
    differing: int


class Collected(_Message):
    """Done; `tokens` passed through."""

    kind: Literal["collected"] = "collected"
    tokens: int
    peak_mib: float


class Failed(_Message):
    """An error of the user's world."""

    kind: Literal["failed"] = "failed"
    report: ErrorReport


Evaluate.model_rebuild()
Divergence.model_rebuild()
Measurement.model_rebuild()

Request = Annotated[Evaluate | Collect, Field(discriminator="kind")]
Reply = Annotated[Progress | Measurement | Collected | Failed, Field(discriminator="kind")]
request_adapter: TypeAdapter[Evaluate | Collect] = TypeAdapter(Request)
reply_adapter: TypeAdapter[Progress | Measurement | Collected | Failed] = TypeAdapter(Reply)
