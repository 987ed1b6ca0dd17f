"""Answers how model files would run here, for every list, card and menu that shows it.

The computer's speeds, and those of the answers that were written on it, are kept in the profile: a
measurement loads all cores and takes memory for a moment. A file has at most two speeds: one from
memory, and one from the disk under its last budget.

The questions are worked off outside the main thread, a few at once: a header is read by a child
process, and a first measurement of the computer takes two seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field
from PySide6.QtCore import QObject, Slot

from deepseek_r1 import hardware
from deepseek_r1.catalogue.download_spec import SIZE_SLACK_BYTES
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.installed import model_files
from deepseek_r1.core import log
from deepseek_r1.core.events import Event, GenerationFinished, ModelFacts, ModelLoaded
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.hardware.read_speed import memory_read_mib_s, read_speed_mib_s
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.models.forecast import (
    Fit,
    Forecast,
    MachineSpeed,
    estimate_fit,
    expected_tok_s,
)
from r1desk.platform.background_thread import (
    BackgroundAnswer,
    ask_in_background,
    stream_in_background,
)
from r1desk.preferences import Preferences

MEASUREMENTS = 3  # a busy moment makes memory look slow; the fastest of so many counts
_SECONDS = 0.25  # for each
SPEED_FILE, RATES_FILE = "machine_speed.json", "answer_rates.json"


class MeasuredRate(BaseModel):
    """Tokens a second of the file's last answer. `budget_mib` is 0 for one in memory."""

    model_config = ConfigDict(frozen=True)

    file_bytes: int = Field(ge=0)
    tok_s: float = Field(gt=0, allow_inf_nan=False)
    budget_mib: int = Field(ge=0)


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
                _store(SPEED_FILE, _machine_key(), found)
        return found


def known_speed() -> MachineSpeed:
    """The speeds if they were ever measured on this computer, else unknown ones. Does not wait."""
    key, threads = _machine_key(), hardware.cpu().threads
    if key not in _known:
        stored = load_measured(measured_dir() / SPEED_FILE, key, MachineSpeed) or MachineSpeed()
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


AT_ONCE = 3
TURN_S = 15.0  # a question waits for its turn; then those before it hang at a drive
LEAST_TOKENS = 32  # of an answer whose speed says something
_MIB = 1 << 20
AnswerT = TypeVar("AnswerT")
Question = Callable[["Forecaster"], Iterator[AnswerT]]


class Forecaster:
    """Forecasts for one question, with the settings of its time. Not the main thread's."""

    def __init__(self, settings: LoadSettings, headers: HeaderProcess) -> None:
        self.settings = settings
        self.headers = headers
        self.speed = known_speed()

    def measure(self) -> None:
        """Measure the computer, unless that was done often enough: half a second to two seconds."""
        self.speed = machine_speed()

    def most_tok_s(self, header: ModelHeader) -> float:
        """The bound that the cores set, however fast the memory is."""
        return expected_tok_s(header, MachineSpeed(memory_mib_s=1e6, threads=self.speed.threads))

    def forecast(self, header: ModelHeader, *, reads_all: bool = True) -> Forecast:
        """Forecast a file; without a speed where a token does not read all of its weights."""
        context = min(self.settings.context_length, header.context_trained)
        settings = self.settings.model_copy(update={"context_length": context})
        speed = self.speed if reads_all else MachineSpeed(threads=self.speed.threads)
        found = estimate_fit(header, settings, speed, memory_reading().available_mib)
        if found.fit is Fit.TOO_LARGE:
            return found
        budget_mib = found.settings.memory_budget if found.fit is Fit.FROM_DISK else 0
        tok_s = measured_tok_s(header.path, header.file_bytes, budget_mib)
        return replace(found, tok_s=tok_s, measured=True) if tok_s else found


class ForecastService(QObject):
    """Lives in the main thread."""

    def __init__(self, preferences: Preferences, engine: EngineBridge | None = None) -> None:
        """`engine` is the one whose answers are measured."""
        super().__init__()
        self._preferences = preferences
        self._turns = threading.Semaphore(AT_ONCE)
        self._facts: ModelFacts | None = None
        if engine is not None:
            engine.model_loaded.connect(self._on_loaded)
            engine.event.connect(self._on_event)

    @property
    def settings(self) -> LoadSettings:
        """The settings in force, for which questions are answered."""
        return self._preferences.load

    def ask(
        self, question: Question[AnswerT], on_answer: Callable[[AnswerT], None]
    ) -> BackgroundAnswer:
        """Have `question` answered in a thread; `on_answer`, a slot, is called in the main one.

        Nothing is called where the receiver has been deleted meanwhile.
        """
        turns, settings = self._turns, self.settings

        def answers() -> Iterator[AnswerT]:
            in_turn = turns.acquire(timeout=TURN_S)
            try:
                with HeaderProcess() as headers:
                    yield from question(Forecaster(settings, headers))
            finally:
                if in_turn:
                    turns.release()

        answer = stream_in_background(answers)
        answer.done.connect(on_answer)
        return answer

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        self._facts = loaded.facts

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        """Keep the speed of an answer."""
        if self._facts is None or not isinstance(event, GenerationFinished):
            return
        stats = event.stats
        if stats.completion_tokens < LEAST_TOKENS or not stats.decode_tok_s:
            return
        rate = MeasuredRate(
            file_bytes=round(self._facts.file_mib * _MIB),
            tok_s=stats.decode_tok_s,
            budget_mib=self.settings.memory_budget if stats.weights is not None else 0,
        )
        ask_in_background(partial(store_rate, Path(self._facts.path), rate))
