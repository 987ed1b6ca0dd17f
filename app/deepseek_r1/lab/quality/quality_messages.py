"""The requests to the process that measures a model, and its replies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core.child_call import ChildFailure, ChildProgress


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evaluate(_Message):
    """Scores a text. `rows` is a file of the base's log-probabilities as float32 rows.

    It is written if `base` is None, else read for the comparison. Lengths are in tokens.
    """

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
    """Collects the activations of a text. Results go into `folder`, see `importance_matrix`.

    The inputs of the matrices in `kept` are written completely, all others are summed.
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


class MeasurementProgress(ChildProgress):
    """The progress of the work."""

    kind: Literal["progress"] = "progress"
    done: int
    total: int


class Measurement(_Message):
    """The scores of one model on one text. Rates are tokens per second.

    The text is cut into equal windows. The tokens of each window's second half are scored
    (`scored`); the first half is their context. `correct` is the accuracy: the share of scored
    tokens that the model ranks first. `loaded_mib` is the process's peak memory after the load and
    the speed test, `peak_mib` at the end.
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
    """The KL divergence of a model's next-token distributions from the base's, in nats.

    `agreement` is the share of scored positions where both models rank the same token first.
    """

    mean: float
    mean_error: float  # standard error
    p99: float
    worst: float
    agreement: float
    agreement_error: float
    by_margin: tuple[Undecided, ...]


class Undecided(_Message):
    """A group of positions where the base's margin, first to second choice, is in a range of nats.

    The range is from `least` to `most`; `most` is None for the last group, which has no upper
    end. At `differing` of the `positions` the two models rank different tokens first.
    """

    least: float
    most: float | None
    positions: int
    differing: int


class Collected(_Message):
    """The end of a collection over `tokens` tokens."""

    kind: Literal["collected"] = "collected"
    tokens: int
    peak_mib: float


Evaluate.model_rebuild()
Divergence.model_rebuild()
Measurement.model_rebuild()

Request = Annotated[Evaluate | Collect, Field(discriminator="kind")]
Reply = Annotated[
    MeasurementProgress | Measurement | Collected | ChildFailure, Field(discriminator="kind")
]
request_adapter: TypeAdapter[Evaluate | Collect] = TypeAdapter(Request)
reply_adapter: TypeAdapter[MeasurementProgress | Measurement | Collected | ChildFailure] = (
    TypeAdapter(Reply)
)
