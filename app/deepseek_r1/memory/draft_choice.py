"""Opens the draft model that the settings name, as far as its header goes, unless it is slow.

With which draft models answers are slower is remembered in the profile, by machine, pair of models
and budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deepseek_r1.core import log
from deepseek_r1.core.errors import DraftMissing, DraftUnfit
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.hardware import cpu
from deepseek_r1.memory.draft_costs import draft_mib
from deepseek_r1.memory.plan import ProcessOverhead

FILE_NAME = "slow_drafts.json"
Read = Callable[[Path], ModelHeader]


class _Slow(BaseModel):
    model_config = ConfigDict(frozen=True)

    slower: bool


def draft_header(
    settings: LoadSettings, target: ModelHeader, read: Read = read_header
) -> ModelHeader | None:
    """Read the header of the chosen draft model with `read`; None where none is to be loaded.

    One with which an answer was slower under this budget is not. Raises ModelRefused:
    DraftMissing, DraftUnfit, and those of `read_header`.
    """
    if not settings.draft_path:
        if settings.drafts is DraftMode.MODEL:
            raise DraftMissing(model=target.name)
        return None
    header = read(Path(settings.draft_path))
    for each, role in ((target, target.name), (header, header.name)):
        if each.legacy:
            detail = tr("{name} has an old format, with which drafts do not work.", name=role)
            raise DraftUnfit(draft=header.name, model=target.name, detail=detail)
    key = _key(target, header, settings.memory_budget)
    return None if load_measured(measured_dir() / FILE_NAME, key, _Slow) else header


def with_draft(
    overhead: ProcessOverhead,
    settings: LoadSettings,
    target: ModelHeader,
    read: Read = read_header,
) -> ProcessOverhead:
    """Add the memory of the chosen draft model. Raises as `draft_header` does."""
    draft = draft_header(settings, target, read)
    return overhead if draft is None else replace(overhead, draft_mib=draft_mib(draft, settings))


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


def shape_key(header: ModelHeader) -> str:
    """Return the processor, its usable cores, and the model's widths and types, as one key."""
    machine, quantisation = cpu(), header.quantisation
    shape = f"{header.architecture} {header.embedding}x{header.blocks} {header.feed_forward}"
    return f"{machine.name} | {machine.usable_cores} | {shape} {quantisation}"
