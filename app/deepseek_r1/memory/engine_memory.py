"""The memory of the engine's process without a model, for a bill that is made elsewhere."""

from __future__ import annotations

import platform
import sys

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core.measured_file import load_measured, measured_dir
from deepseek_r1.core.version import VERSION
from deepseek_r1.memory.plan import ENGINE_RUNTIME_MIB, ProcessOverhead

# Where the plan's constant was measured and the bill of a model is the same in every process.
constant_applies: bool = sys.platform == "linux"
FILE_NAME = "engine_memory.json"


class EngineMemory(BaseModel):
    """The memory of the engine's process and its renderer on this machine, without a model."""

    model_config = ConfigDict(frozen=True)

    runtime_mib: float = Field(gt=0, allow_inf_nan=False)


def planned_share(window_mib: float = 0.0) -> ProcessOverhead:
    """Return the overhead for a bill that is made without the engine, or before its first model.

    On Linux the engine's part is the plan's constant. Elsewhere it is what the last load measured,
    and the constant before the first load.
    """
    measured = None
    if not constant_applies:
        measured = load_measured(measured_dir() / FILE_NAME, measured_key(), EngineMemory)
    runtime_mib = ENGINE_RUNTIME_MIB if measured is None else measured.runtime_mib
    return ProcessOverhead(max(runtime_mib, ENGINE_RUNTIME_MIB), window_mib)


def measured_key() -> str:
    """Return what the memory of the libraries depends on: system, Python, application."""
    return f"{platform.platform()} | {platform.python_version()} | {VERSION}"
