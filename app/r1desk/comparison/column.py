"""A column of a comparison: a model and the settings that it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.core.settings import LoadSettings, SamplingSettings

MOST_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A model that is asked."""

    path: Path
    name: str
    load: LoadSettings
    sampling: SamplingSettings
    system_prompt: str = ""
