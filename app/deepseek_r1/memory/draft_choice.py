"""Opens the draft model that the settings name, as far as its header goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deepseek_r1.core.errors import DraftMissing, DraftUnfit
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.memory.draft_costs import draft_mib
from deepseek_r1.memory.plan import ProcessOverhead

Read = Callable[[Path], ModelHeader]


def draft_header(
    settings: LoadSettings, target: ModelHeader, read: Read = read_header
) -> ModelHeader | None:
    """Read the header of the chosen draft model with `read`; None where none is to be loaded.

    Raises ModelRefused: DraftMissing, DraftUnfit, and those of `read_header`.
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
    return header


def with_draft(
    overhead: ProcessOverhead,
    settings: LoadSettings,
    target: ModelHeader,
    read: Read = read_header,
) -> ProcessOverhead:
    """Add the memory of the chosen draft model. Raises as `draft_header` does."""
    draft = draft_header(settings, target, read)
    return overhead if draft is None else replace(overhead, draft_mib=draft_mib(draft, settings))
