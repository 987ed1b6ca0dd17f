"""Measures how fast this computer reads its memory and the drive of the models."""

from __future__ import annotations

import threading
from dataclasses import replace

from deepseek_r1 import hardware
from deepseek_r1.catalogue.installed import model_files
from deepseek_r1.core import log
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import starter_model
from deepseek_r1.hardware.disk import read_speed_mib_s
from deepseek_r1.hardware.memory_speed import memory_read_mib_s
from r1desk.models.fit import MachineSpeed

MEASUREMENTS = 3  # a busy moment makes memory look slow; the fastest of so many counts

_lock = threading.Lock()
_measured: list[MachineSpeed] = []  # the fastest so far is the last


def machine_speed() -> MachineSpeed:
    """The speeds of this computer. The first call takes two seconds: not for the main thread.

    Each of the first calls measures memory again, for half a second.
    """
    with _lock:
        if len(_measured) < MEASUREMENTS:
            _measured.append(_measure(known_speed()))
        return _measured[-1]


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
    """The speeds if they were measured before, else unknown ones. Any thread; does not wait."""
    return _measured[-1] if _measured else MachineSpeed(threads=hardware.cpu().threads)
