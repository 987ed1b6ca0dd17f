"""Compares the quality, size and speed of several versions of one model, each in a child process.

A model's file is untrusted, so no process of ours computes it that has anything to lose.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deepseek_r1.core.child_call import ChildCall, ChildDied
from deepseek_r1.core.errors import EngineDied
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.host.environment import engine_environment, start_options
from deepseek_r1.lab.quality_messages import Collect, Evaluate, Measurement, reply_adapter

WINDOW: Final = 512
MOST_SCORED: Final = 4096
DISK_LIMIT_MIB: Final = 4096
_DETAIL_CHARACTERS: Final = 400

OnProgress = Callable[[int, int], None]
OnModel = Callable[[Path, int, int], None]  # the model, the work done and the whole work


def run_request(request: Evaluate | Collect, on_progress: OnProgress) -> Any:
    """Start the process, send it one request, and return its `Measurement` or `Collected`.

    Raises what the process reports, EngineDied if it ends without a reply, ProtocolBroken.
    The process ends with this call, also after an exception. Like the engine, it gets no secrets.
    """
    with ChildCall(
        ChildKind.MEASUREMENT,
        reply_adapter,
        environment=engine_environment(),
        options=start_options(),
    ) as child:
        try:
            return child.ask(
                request, on_progress=lambda progress: on_progress(progress.done, progress.total)
            )
        except ChildDied as died:
            detail = died.stderr.strip()[-_DETAIL_CHARACTERS:]
            raise EngineDied(how=died.how, detail=detail) from died


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
    base: Path, others: Sequence[Path], terms: MeasurementSettings, on_model: OnModel
) -> list[Measurement]:
    """Returns measurements of the base and of the other models, these with their divergence.

    One model is in memory at a time. The base's predictions are kept on the disk meanwhile.
    Raises `MeasuringRefused`, `ModelRefused`, `EngineFailed`.
    """
    with tempfile.TemporaryDirectory(prefix="r1desk-quality-", dir=terms.scratch) as folder:

        def measure(model: Path, against: Measurement | None) -> Measurement:
            request = Evaluate(
                model=model.resolve(),
                text=terms.text.resolve(),
                rows=Path(folder) / "rows.f32",
                rows_limit_mib=terms.disk_limit_mib,
                window=terms.window,
                most_scored=terms.most_scored,
                memory_budget_mib=terms.memory_budget_mib,
                threads=terms.threads,
                base=against,
            )
            found: Measurement = run_request(
                request, lambda done, total: on_model(model, done, total)
            )
            return found

        first = measure(base, None)
        return [first, *(measure(each, first) for each in others)]
