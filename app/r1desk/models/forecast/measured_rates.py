"""The speeds of answers that models wrote on this computer, kept in the profile.

A file has at most two: one from memory, and one from the disk under its last budget.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1 import hardware
from deepseek_r1.catalogue.download_spec import SIZE_SLACK_BYTES
from deepseek_r1.core import log
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured

FILE_NAME = "answer_rates.json"


class MeasuredRate(BaseModel):
    """Tokens a second of the file's last answer. `budget_mib` is 0 for one in memory."""

    model_config = ConfigDict(frozen=True)

    file_bytes: int = Field(ge=0)
    tok_s: float = Field(gt=0, allow_inf_nan=False)
    budget_mib: int = Field(ge=0)


def measured_tok_s(path: Path, file_bytes: int, budget_mib: int) -> float:
    """The speed of the last answer under this budget, 0 for one in memory; 0 if there is none."""
    found = load_measured(measured_dir() / FILE_NAME, _key(path, budget_mib), MeasuredRate)
    if found is None or abs(found.file_bytes - file_bytes) > SIZE_SLACK_BYTES:
        return 0.0
    return found.tok_s if found.budget_mib == budget_mib else 0.0


def store_rate(path: Path, rate: MeasuredRate) -> None:
    """Keep a speed for later; where the profile cannot be written, only say so in the log."""
    try:
        save_measured(measured_dir() / FILE_NAME, _key(path, rate.budget_mib), rate)
    except OSError as error:
        log.models.warning("the speed of an answer cannot be stored: %s", error)


def _key(path: Path, budget_mib: int) -> str:
    """What a speed depends on: processor, file, and where it runs from."""
    return f"{hardware.cpu().name} | {path.name.casefold()} | {'disk' if budget_mib else 'memory'}"
