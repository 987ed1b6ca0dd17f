"""The measured speeds of this computer: of its memory and drive, and of the answers written on it.

They are kept in the profile: a measurement loads all cores and takes memory for a moment. A file
has at most two speeds: one from memory, and one from the disk under its last budget.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1 import hardware
from deepseek_r1.catalogue.download_spec import SIZE_SLACK_BYTES
from deepseek_r1.catalogue.installed import model_files
from deepseek_r1.core import log
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import starter_model
from deepseek_r1.hardware.read_speed import memory_read_mib_s, read_speed_mib_s
from r1desk.models.forecast.forecast import MachineSpeed

MEASUREMENTS = 3  # a busy moment makes memory look slow; the fastest of so many counts
_SECONDS = 0.25  # for each
SPEED_FILE, RATES_FILE = "machine_speed.json", "answer_rates.json"


class _StoredSpeed(BaseModel):
    """In MiB a second."""

    model_config = ConfigDict(frozen=True)

    memory_mib_s: float = Field(gt=0, allow_inf_nan=False)
    disk_mib_s: float = Field(ge=0, allow_inf_nan=False)


class MeasuredRate(BaseModel):
    """Tokens a second of the file's last answer. `budget_mib` is 0 for one in memory."""

    model_config = ConfigDict(frozen=True)

    file_bytes: int = Field(ge=0)
    tok_s: float = Field(gt=0, allow_inf_nan=False)
    budget_mib: int = Field(ge=0)


_lock = threading.Lock()
_known: dict[str, MachineSpeed] = {}


def machine_speed() -> MachineSpeed:
    """The speeds of this computer. The first call on it takes two seconds, in a thread."""
    with _lock:
        found = known_speed()
        if not found.memory_mib_s:
            found = _known[_machine_key()] = _measure(found.threads)
            if found.memory_mib_s:
                values = _StoredSpeed(memory_mib_s=found.memory_mib_s, disk_mib_s=found.disk_mib_s)
                _store(SPEED_FILE, _machine_key(), values)
        return found


def known_speed() -> MachineSpeed:
    """The speeds if they were ever measured on this computer, else unknown ones. Does not wait."""
    key, threads = _machine_key(), hardware.cpu().threads
    if key not in _known:
        stored = load_measured(measured_dir() / SPEED_FILE, key, _StoredSpeed)
        if stored is None:
            return MachineSpeed(threads=threads)
        _known[key] = MachineSpeed(stored.memory_mib_s, stored.disk_mib_s, threads)
    return _known[key]


def _measure(threads: int) -> MachineSpeed:
    try:
        file = next(iter(model_files(user_models_dir())), starter_model())
        disk_mib_s = read_speed_mib_s(file) if file is not None else 0.0
        speeds = [memory_read_mib_s(threads, seconds=_SECONDS) for _ in range(MEASUREMENTS)]
    except (RuntimeError, BufferError) as error:  # the interpreter ends: no more threads
        log.models.info("the computer was not measured: %s", error)
        return MachineSpeed(threads=threads)
    return MachineSpeed(max(speeds), disk_mib_s, threads)


def _machine_key() -> str:
    """What the speeds depend on: processor, threads, the drive of the models."""
    cpu = hardware.cpu()
    return f"{cpu.name} | {cpu.threads} | {user_models_dir()}"


def measured_tok_s(path: Path, file_bytes: int, budget_mib: int) -> float:
    """The speed of the last answer under this budget, 0 for one in memory; 0 if there is none."""
    found = load_measured(measured_dir() / RATES_FILE, _rate_key(path, budget_mib), MeasuredRate)
    if found is None or abs(found.file_bytes - file_bytes) > SIZE_SLACK_BYTES:
        return 0.0
    return found.tok_s if found.budget_mib == budget_mib else 0.0


def store_rate(path: Path, rate: MeasuredRate) -> None:
    """Keep a speed for later."""
    _store(RATES_FILE, _rate_key(path, rate.budget_mib), rate)


def _rate_key(path: Path, budget_mib: int) -> str:
    """What a speed depends on: processor, file, and where it runs from."""
    return f"{hardware.cpu().name} | {path.name.casefold()} | {'disk' if budget_mib else 'memory'}"


def _store(file: str, key: str, values: BaseModel) -> None:
    try:
        save_measured(measured_dir() / file, key, values)
    except OSError as error:  # the profile cannot be written
        log.models.warning("a measured speed cannot be stored: %s", error)
