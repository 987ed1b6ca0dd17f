"""Compares the quality, size and speed of several versions of one model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.lab.quality.quality_child import Launch, run_request
from deepseek_r1.lab.quality.quality_messages import Evaluate, Measurement

WINDOW: Final = 512
MOST_SCORED: Final = 4096
DISK_LIMIT_MIB: Final = 4096
OnModel = Callable[[Path, int, int], None]  # the model, the work done and the whole work


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


def compare(
    base: Path,
    others: Sequence[Path],
    terms: MeasurementSettings,
    launch: Launch,
    on_model: OnModel,
) -> list[Measurement]:
    """Returns measurements of the base and of the other models, these with their divergence.

    One model is in memory at a time. The base's predictions are kept on the disk meanwhile.
    Raises `MeasuringRefused`, `ModelRefused`, `EngineFailed`.
    """
    with tempfile.TemporaryDirectory(prefix="r1desk-quality-", dir=terms.scratch) as folder:
        rows = Path(folder) / "rows.f32"

        def measure(model: Path, against: Measurement | None) -> Measurement:
            request = _request(model, rows, terms, against)
            answer = run_request(request, launch, lambda done, total: on_model(model, done, total))
            if not isinstance(answer, Measurement):
                raise EngineFailed(detail="the wrong answer to a request")
            return answer

        first = measure(base, None)
        return [first, *(measure(each, first) for each in others)]


def _request(
    model: Path, rows: Path, terms: MeasurementSettings, base: Measurement | None
) -> Evaluate:
    return Evaluate(
        model=model.resolve(),
        text=terms.text.resolve(),
        rows=rows,
        rows_limit_mib=terms.disk_limit_mib,
        window=terms.window,
        most_scored=terms.most_scored,
        memory_budget_mib=terms.memory_budget_mib,
        threads=terms.threads,
        base=base,
    )
