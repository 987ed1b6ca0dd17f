"""What the window remembers between starts: settings, look and the last model.

One JSON file in the profile, replaced atomically. A damaged one is set aside, never fatal.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.settings import LoadSettings, SamplingSettings

FILE_NAME = "preferences.json"


class Preferences(BaseModel):
    """Everything remembered. Unknown keys of a newer version are kept."""

    model_config = ConfigDict(extra="allow")

    language: str | None = None  # None follows the system
    theme: Literal["system", "light", "dark", "high_contrast"] = "system"
    text_size_pt: Annotated[int, Field(ge=0, le=72)] = 0  # 0 is the system's size
    model_path: str | None = None  # None is the starter model
    load: LoadSettings = LoadSettings()
    sampling: SamplingSettings = SamplingSettings()
    system_prompt: str = ""
    sidebar_visible: bool = True
    panel_visible: bool = True
    window_geometry: str = ""  # Qt's own bytes, base64
    recent_models: list[str] = []
    welcomed: bool = False  # the card of the first start has been answered


def load(profile: Path) -> tuple[Preferences, Path | None]:
    """The stored preferences and, if they were damaged, where the damaged file went."""
    file = profile / FILE_NAME
    try:
        return Preferences.model_validate_json(file.read_bytes()), None
    except FileNotFoundError:
        return Preferences(), None
    except (ValidationError, OSError) as error:
        log.window.warning("preferences are damaged: %s", error)
        return Preferences(), _set_aside(file)


def _set_aside(file: Path) -> Path:
    """Move a damaged file out of the way; where that is forbidden it stays and is ignored."""
    aside = file.with_name(f"{file.stem}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}.json")
    try:
        return file.rename(aside)
    except OSError as error:
        log.window.warning("cannot set %s aside: %s", file, error)
        return file


def save(profile: Path, preferences: Preferences) -> None:
    """Replace the file in one step. Raises OSError where the profile cannot be written."""
    file = profile / FILE_NAME
    fresh = file.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as out:
        out.write(preferences.model_dump_json(indent=2))
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
