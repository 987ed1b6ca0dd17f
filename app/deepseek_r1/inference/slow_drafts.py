"""Remembers with which draft models answers are slower, by machine, pair of models and budget."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from deepseek_r1.core import log
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.inference.thread_profile import shape_key

FILE_NAME = "slow_drafts.json"


class _Slow(BaseModel):
    model_config = ConfigDict(frozen=True)

    slower: bool


def is_slow(target: ModelHeader, draft: ModelHeader, budget_mib: int) -> bool:
    """Return whether an answer of this pair was slower under this budget than without drafts."""
    file = measured_dir() / FILE_NAME
    return load_measured(file, _key(target, draft, budget_mib), _Slow) is not None


def remember_slow(target: ModelHeader, draft: ModelHeader, budget_mib: int) -> None:
    """Let later loads leave the draft model out. Where it cannot be stored, they try it again."""
    key = _key(target, draft, budget_mib)
    try:
        save_measured(measured_dir() / FILE_NAME, key, _Slow(slower=True))
    except OSError as error:
        log.engine.warning("it cannot be stored that a draft model is slow: %s", error)


def _key(target: ModelHeader, draft: ModelHeader, budget_mib: int) -> str:
    drafted = f"{draft.architecture} {draft.parameters} {draft.quantisation}"
    return f"{shape_key(target)} | {drafted} | {budget_mib} MiB"
