"""Measures how fast this computer reads its memory and the drive of the models.

The results are kept in the profile: a measurement loads all cores and takes memory for a moment.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1 import hardware
from deepseek_r1.catalogue.installed import model_files
from deepseek_r1.core import log
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import starter_model
from deepseek_r1.hardware.disk import read_speed_mib_s
from deepseek_r1.hardware.memory_speed import memory_read_mib_s
from r1desk.models.forecast.forecast import MachineSpeed

MEASUREMENTS = 3  # a busy moment makes memory look slow; the fastest of so many counts

FILE_NAME = "machine_speed.json"


class _StoredSpeed(BaseModel):
    """The fastest of `count` measurements, in MiB a second."""

    model_config = ConfigDict(frozen=True)

    memory_mib_s: float = Field(gt=0, allow_inf_nan=False)
    disk_mib_s: float = Field(ge=0, allow_inf_nan=False)
    count: int = Field(ge=1, le=MEASUREMENTS)


_lock = threading.Lock()
_measured: list[MachineSpeed] = []  # the fastest so far is the last


def machine_speed() -> MachineSpeed:
    """The speeds of this computer. A first call takes two seconds: not for the main thread.

    Each of the first calls on a computer measures memory again, for half a second.
    """
    with _lock:
        before = known_speed()
        if len(_measured) < MEASUREMENTS:
            _measured.append(_measure(before))
            _store(_measured[-1], len(_measured))
        return _measured[-1]


def _restore() -> None:
    stored = load_measured(measured_dir() / FILE_NAME, _key(), _StoredSpeed)
    if stored is not None:
        speed = MachineSpeed(stored.memory_mib_s, stored.disk_mib_s, hardware.cpu().threads)
        _measured[:] = [speed] * stored.count


def _store(speed: MachineSpeed, count: int) -> None:
    if not speed.memory_mib_s:
        return
    values = _StoredSpeed(memory_mib_s=speed.memory_mib_s, disk_mib_s=speed.disk_mib_s, count=count)
    try:
        save_measured(measured_dir() / FILE_NAME, _key(), values)
    except OSError as error:
        log.models.warning("the computer's speed cannot be stored: %s", error)


def _key() -> str:
    """What the speeds depend on: processor, threads, the drive of the models."""
    cpu = hardware.cpu()
    return f"{cpu.name} | {cpu.threads} | {user_models_dir()}"


def _measure(before: MachineSpeed) -> MachineSpeed:
    disk_mib_s = before.disk_mib_s
    try:
        if not disk_mib_s:
            file = next(iter(model_files(user_models_dir())), starter_model())
            disk_mib_s = read_speed_mib_s(file) if file is not None else 0.0
        memory_mib_s = memory_read_mib_s(before.threads)
    except (RuntimeError, BufferError) as error:  # the interpreter ends: no more threads
        log.models.info("the computer was not measured: %s", error)
        return before
    return replace(
        before, memory_mib_s=max(before.memory_mib_s, memory_mib_s), disk_mib_s=disk_mib_s
    )


def known_speed() -> MachineSpeed:
    """The speeds if they were ever measured on this computer, else unknown ones. Does not wait."""
    if not _measured:
        _restore()
    return _measured[-1] if _measured else MachineSpeed(threads=hardware.cpu().threads)
