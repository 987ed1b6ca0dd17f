"""Two versions of one model compared: how good, how large and how fast each is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deepseek_r1.convert.quality_child import Launch, ask
from deepseek_r1.convert.quality_messages import Evaluate, Measurement
from deepseek_r1.core.errors import EngineFailed

WINDOW: Final = 512
MOST_SCORED: Final = 4096
DISK_LIMIT_MIB: Final = 4096
OnModel = Callable[[Path, int, int], None]  # the model, and how much of it is done


@dataclass(frozen=True, slots=True)
class Terms:
    """How to measure: text, lengths in tokens, and what it may take. `threads` 0: as suits.

    `scratch` is the folder for the base's predictions, vocabulary x 4 bytes for each scored
    token; None for the system's own.
    """

    text: Path
    memory_budget_mib: int
    window: int = WINDOW
    most_scored: int = MOST_SCORED
    disk_limit_mib: int = DISK_LIMIT_MIB
    scratch: Path | None = None
    threads: int = 0


def compare(
    base: Path, others: Sequence[Path], terms: Terms, launch: Launch, on_model: OnModel
) -> list[Measurement]:
    """Measurements of the base and of each other model, these with their distance from the base.

    One model is in memory at a time; the base's predictions wait on the disk and are removed.
    Raises `MeasuringRefused`, `ModelRefused`, `EngineFailed`.
    """
    with tempfile.TemporaryDirectory(prefix="r1desk-quality-", dir=terms.scratch) as folder:
        rows = Path(folder) / "rows.f32"

        def measure(model: Path, against: Measurement | None) -> Measurement:
            request = _request(model, rows, terms, against)
            answer = ask(request, launch, lambda done, total: on_model(model, done, total))
            if not isinstance(answer, Measurement):
                raise EngineFailed(detail="the wrong answer to a request")
            return answer

        first = measure(base, None)
        return [first, *(measure(each, first) for each in others)]


def _request(model: Path, rows: Path, terms: Terms, base: Measurement | None) -> Evaluate:
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
