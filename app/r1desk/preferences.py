"""Preferences kept between starts: settings, appearance and the last model.

One JSON file in the profile, replaced atomically. A damaged one is set aside, never fatal.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.settings import (
    KVType,
    LoadSettings,
    PromptCacheSettings,
    SamplingSettings,
    default_budget,
)
from deepseek_r1.hardware.pressure import MemoryReading, memory_reading
from deepseek_r1.memory.forecast import FREE_SHARE

FILE_NAME = "preferences.json"
VERSION = 3
_FORMER_CONTEXT = 4096  # the default of version 1, which had no automatic context
_FORMER_KV_TYPE = KVType.F16  # the default up to version 2, which had no automatic precision


class OwnSettings(BaseModel):
    """Settings that each model has of its own; a model that is loaded for the first time, these."""

    model_config = ConfigDict(frozen=True)

    draft_model: FilePath = ""
    context_length: Annotated[int, Field(ge=0)] = 0
    kv_type: KVType = KVType.AUTO


ThemeName = Literal["system", "light", "dark", "high_contrast"]
WidthName = Literal["narrow", "normal", "wide"]


class Preferences(BaseModel):
    """Everything remembered. Unknown keys of a newer version are kept."""

    model_config = ConfigDict(extra="allow")

    version: int = 1
    language: str | None = None  # None follows the system
    theme: ThemeName = "system"
    reading_width: WidthName = "normal"
    text_size_pt: Annotated[int, Field(ge=0, le=72)] = 0  # 0 is the system's size
    model_path: FilePath | None = None  # None is the starter model
    load: LoadSettings = LoadSettings()
    sampling: SamplingSettings = SamplingSettings()
    system_prompt: str = ""
    prompts: PromptCacheSettings = PromptCacheSettings()
    sidebar_visible: bool = True
    panel_visible: bool = False
    readings_visible: bool = False  # all of the strip's
    unload_after_min: Annotated[int, Field(ge=0, le=1440)] = 0  # without use; 0 is never
    system_notices: bool = True  # when an answer is ready and the window is not in front
    window_geometry: str = ""  # Qt's own bytes, base64
    recent_models: list[FilePath] = []
    model_titles: dict[FilePath, str] = {}  # as their files name themselves
    chat_templates: dict[FilePath, str] = {}  # the chosen ones, by the path of the model's file
    chat_template_files: dict[FilePath, str] = {}  # of files they were read from
    serving_port: Annotated[int, Field(ge=1024, le=65_535)] = 8080
    serving_key: str = ""  # made when the server is switched on for the first time
    own_settings: dict[FilePath, OwnSettings] = {}  # by the path of the model's file
    draft_models: dict[FilePath, FilePath] = Field(default={}, exclude=True)  # their former place
    welcomed: bool = False  # the card of the first start has been answered


_SMALL_MACHINE_MIB = 8_000_000_000 / (1 << 20)
_BUDGET_STEP_MIB = 256


def first_budget(memory: MemoryReading) -> int:
    """The budget of the first start in MiB: on a computer of 8 GB or more by what is free."""
    default = default_budget(memory.total_mib)
    if memory.total_mib < _SMALL_MACHINE_MIB:
        return default
    share_mib = int(memory.available_mib * FREE_SHARE)
    return max(default, share_mib // _BUDGET_STEP_MIB * _BUDGET_STEP_MIB)


def load(profile: Path) -> tuple[Preferences, Path | None]:
    """The stored preferences and, if they were damaged, where the damaged file went."""
    file = profile / FILE_NAME
    try:
        return _migrated(Preferences.model_validate_json(file.read_bytes())), None
    except FileNotFoundError:
        budget = first_budget(memory_reading())
        return Preferences(version=VERSION, load=LoadSettings(memory_budget=budget)), None
    except (ValidationError, OSError) as error:
        log.window.warning("preferences are damaged: %s", error)
        return Preferences(version=VERSION), _set_aside(file)


def _migrated(stored: Preferences) -> Preferences:
    """Preferences of an earlier version in the form of this one."""
    if stored.version < 2 and stored.load.context_length == _FORMER_CONTEXT:
        stored.load = stored.load.model_copy(update={"context_length": 0})
    if stored.version < 3 and stored.load.kv_type is _FORMER_KV_TYPE:
        stored.load = stored.load.model_copy(update={"kv_type": KVType.AUTO})
    for path, draft in stored.draft_models.items():
        stored.own_settings.setdefault(path, OwnSettings(draft_model=draft))
    stored.version = max(VERSION, stored.version)
    return stored


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
    data = preferences.model_dump_json(indent=2)
    write_atomically(profile / FILE_NAME, data.encode("utf-8"), private=True)  # it has a key
