"""Runs the process that measures a model: its requests and its replies.

A model's file is untrusted, so no process of ours computes it that has anything to lose.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from deepseek_r1.convert.errors import OutputUnwritable
from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildFailure, ChildProgress
from deepseek_r1.core.errors import EngineDied
from deepseek_r1.core.frames import PipeMessage, one_of
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.supervisor import engine_environment, start_options
from deepseek_r1.lab import errors

WINDOW: Final = 512
MOST_SCORED: Final = 4096
DISK_LIMIT_MIB: Final = 4096
_DETAIL_CHARACTERS: Final = 400

OnProgress = Callable[[int, int], None]
OnModel = Callable[[Path, int, int], None]  # the model, the work done and the whole work


class Undecided(PipeMessage):
    """A group of positions where the base's margin, first to second choice, is in a range of nats.

    The range is from `least` to `most`; `most` is None for the last group, which has no upper
    end. At `differing` of the `positions` the two models rank different tokens first.
    """

    least: float
    most: float | None
    positions: int
    differing: int


class Divergence(PipeMessage):
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


class Measurement(PipeMessage):
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


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """The text, lengths in tokens and limits of a measurement. `threads` 0: as many as suit.

    `scratch` is the folder for the base's predictions, vocabulary x 4 bytes for each scored
    token; None means the system's temporary folder.
    """

    text: Path
    memory_budget_mib: int
    window: int = WINDOW
    most_scored: int = MOST_SCORED
    disk_limit_mib: int = DISK_LIMIT_MIB
    scratch: Path | None = None
    threads: int = 0


class Evaluate(PipeMessage):
    """Scores a text. `rows` is a file of the base's log-probabilities as float32 rows.

    It is written if `base` is None, else read for the comparison.
    """

    kind: Literal["evaluate"] = "evaluate"
    model: Path
    terms: MeasurementSettings
    rows: Path
    base: Measurement | None


class Collect(PipeMessage):
    """Collects the activations of a text into the file `found`, see `importance_matrix`."""

    kind: Literal["collect"] = "collect"
    model: Path
    text: Path
    found: Path
    most_tokens: int
    memory_budget_mib: int
    threads: int


class MeasurementProgress(ChildProgress):
    """The progress of the work."""

    kind: Literal["progress"] = "progress"
    done: int
    total: int


class Collected(PipeMessage):
    """The end of a collection."""

    kind: Literal["collected"] = "collected"


requests = one_of(Evaluate | Collect)
replies = one_of(MeasurementProgress | Measurement | Collected | ChildFailure)


def run_request(request: Evaluate | Collect, on_progress: OnProgress) -> Any:
    """Start the process, send it one request, and return its `Measurement` or `Collected`.

    Raises what the process reports, EngineDied if it ends without a reply, ProtocolBroken.
    The process ends with this call, also after an exception. Like the engine, it gets no secrets.
    """
    with ChildCall(
        ChildKind.MEASUREMENT, replies, environment=engine_environment(), options=start_options()
    ) as child:
        try:
            return child.ask(
                request, on_progress=lambda progress: on_progress(progress.done, progress.total)
            )
        except ChildDied as died:
            detail = died.stderr.strip()[-_DETAIL_CHARACTERS:]
            raise EngineDied(how=died.how, detail=detail) from died


def compare(
    base: Path, others: Sequence[Path], terms: MeasurementSettings, on_model: OnModel
) -> list[Measurement]:
    """Returns measurements of the base and of the other models, these with their divergence.

    One model is in memory at a time. The base's predictions are kept on the disk meanwhile.
    Raises `MeasuringRefused`, `OutputUnwritable`, `ModelRefused`, `EngineFailed`.
    """
    terms = replace(terms, text=terms.text.resolve())
    try:
        scratch = tempfile.TemporaryDirectory(prefix="r1desk-quality-", dir=terms.scratch)
    except OSError as error:
        place, reason = str(terms.scratch or "TMPDIR"), error.strerror or str(error)
        raise OutputUnwritable(path=place, detail=reason) from error
    with scratch as folder:
        headers = [read_header(each) for each in (base, *others)]  # before the first is measured
        for path, header in zip(others, headers[1:], strict=True):
            if header.vocabulary != headers[0].vocabulary:
                raise errors.VocabulariesDiffer(a=base.name, b=path.name)
        rows = Path(folder) / "rows.f32"

        def measure(model: Path, against: Measurement | None) -> Measurement:
            request = Evaluate(model=model.resolve(), terms=terms, rows=rows, base=against)
            measured: Measurement = run_request(request, partial(on_model, model))
            return measured

        first = measure(base, None)
        return [first, *(measure(each, first) for each in others)]
