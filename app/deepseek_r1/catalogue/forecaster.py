"""Forecasts how model files would run here; the computer's and the answers' speeds are kept.

They are in the profile, because a measurement loads all cores and takes memory for a moment. A file
has at most two speeds: one from memory, and one from the disk under its last budget.
"""

import threading
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import BaseModel, Field

from deepseek_r1 import hardware
from deepseek_r1.catalogue.download_spec import SIZE_SLACK_BYTES
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.installed import model_files
from deepseek_r1.catalogue.known_models import KnownDraft
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core import log
from deepseek_r1.core.measured_file import Measurements
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.hardware.read_speed import memory_read_mib_s, read_speed_mib_s
from deepseek_r1.memory.forecast import (
    WINDOW_MAX_MIB,
    Fit,
    Forecast,
    MachineSpeed,
    estimate_fit,
    planned_share,
)
from deepseek_r1.memory.load_plan import draft_mib

MEASUREMENTS = 3  # a busy moment makes memory look slow; the fastest of so many counts
_SECONDS = 0.25  # for each


class MeasuredRate(BaseModel, frozen=True):
    """Tokens a second of the file's last answer. `budget_mib` is 0 for one in memory."""

    file_bytes: int = Field(ge=0)
    tok_s: float = Field(gt=0, allow_inf_nan=False)
    budget_mib: int = Field(ge=0)


_SPEEDS = Measurements("machine_speed", MachineSpeed)
_RATES = Measurements("answer_rates", MeasuredRate)
_lock = threading.Lock()
_known: dict[str, MachineSpeed] = {}


def machine_speed() -> MachineSpeed:
    """The speeds of this computer. The first call on it takes two seconds, in a thread.

    What was measured beside other work counts until the window ends.
    """
    with _lock:
        found = known_speed()
        if not found.memory_mib_s:
            found = _known[_machine_key()] = _measure(found.threads)
            if found.memory_mib_s and hardware.busy_cores() < hardware.cpu().usable_cores / 2:
                _SPEEDS.keep(_machine_key(), found)
        return found


def known_speed() -> MachineSpeed:
    """The speeds if they were ever measured on this computer, else unknown ones. Does not wait."""
    key, threads = _machine_key(), hardware.cpu().threads
    if key not in _known:
        stored = _SPEEDS.get(key) or MachineSpeed()
        _known[key] = stored.model_copy(update={"threads": threads})
    return _known[key]


def _measure(threads: int) -> MachineSpeed:
    try:
        file = next(iter(model_files(user_models_dir())), starter_model())
        disk_mib_s = read_speed_mib_s(file) if file is not None else 0.0
        speeds = [memory_read_mib_s(threads, seconds=_SECONDS) for _ in range(MEASUREMENTS)]
    except (RuntimeError, BufferError) as error:  # the interpreter ends: no more threads
        log.models.info("the computer was not measured: %s", error)
        return MachineSpeed(threads=threads)
    return MachineSpeed(memory_mib_s=max(speeds), disk_mib_s=disk_mib_s, threads=threads)


def _machine_key() -> str:
    """What the speeds depend on: processor, threads, the drive of the models."""
    cpu = hardware.cpu()
    return f"{cpu.name} | {cpu.threads} | {user_models_dir()}"


def measured_tok_s(path: Path, file_bytes: int, budget_mib: int) -> float:
    """The speed of the last answer under this budget, 0 for one in memory; 0 if there is none."""
    found = _RATES.get(_rate_key(path, budget_mib))
    if found is None or abs(found.file_bytes - file_bytes) > SIZE_SLACK_BYTES:
        return 0.0
    return found.tok_s if found.budget_mib == budget_mib else 0.0


def store_rate(path: Path, rate: MeasuredRate) -> None:
    """Keep a speed for later."""
    _RATES.keep(_rate_key(path, rate.budget_mib), rate)


def _rate_key(path: Path, budget_mib: int) -> str:
    """What a speed depends on: processor, file, and where it runs from."""
    return f"{_processor()} | {path.name.casefold()} | {'disk' if budget_mib else 'memory'}"


@cache
def _processor() -> str:
    """Counting the cores with it would be a tenth of a forecast."""
    return hardware.cpu().name


class Forecaster:
    """Forecasts for one question, with the settings of its time. Not the main thread's."""

    def __init__(
        self, settings: LoadSettings, headers: HeaderProcess, own_mib: float = WINDOW_MAX_MIB
    ) -> None:
        """`own_mib` is the memory of the asking program."""
        self.settings, self.headers = settings, headers
        self._overhead = planned_share(own_mib)
        self._available_mib = memory_reading().available_mib
        self.speed = known_speed()

    def measure(self) -> None:
        """Measure the computer, unless that was done often enough: half a second to two seconds."""
        self.speed = machine_speed()

    def add_to(self, files: Iterable[ModelFile]) -> tuple[ModelFile, ...]:
        """The files with their forecasts, where their sizes are known."""
        return tuple(
            each
            if each.header is None
            else replace(
                each, forecast=self.forecast(each.header, each.draft, reads_all=each.reads_all)
            )
            for each in files
        )

    def forecast(
        self, header: ModelHeader, draft: KnownDraft | None = None, *, reads_all: bool = True
    ) -> Forecast:
        """Forecast a file; without a speed where a token does not read all of its weights.

        `draft` is the draft model of its family.
        """
        context = min(self.settings.context_length, header.context_trained)
        settings = self.settings.model_copy(update={"context_length": context})
        speed = self.speed if reads_all else MachineSpeed(threads=self.speed.threads)
        drafts_mib = draft_mib(draft.header, settings, self._overhead) if draft is not None else 0.0
        found = estimate_fit(
            header, settings, speed, self._available_mib, self._overhead, draft_mib=drafts_mib
        )
        if found.fit is Fit.TOO_LARGE:
            return found
        budget_mib = found.settings.memory_budget if found.fit is Fit.FROM_DISK else 0
        tok_s = measured_tok_s(header.path, header.file_bytes, budget_mib)
        return replace(found, tok_s=tok_s, measured=True) if tok_s else found
