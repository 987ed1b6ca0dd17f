"""The monitor applies the governor's decisions to the model while the model exists."""

import threading
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.inference import cpu_inference, live_budget, loading
from deepseek_r1.inference.live_budget import PressureMonitor
from deepseek_r1.memory.governor import Allowance, MemoryLimits
from support.patience import PATIENCE_S

AMPLE, SHORT = MemoryReading(8192, 6000), MemoryReading(8192, 50)


class Model:
    def __init__(self) -> None:
        self.wanted = MemoryLimits(2048, 700, 256)
        self.held: list[Allowance] = []

    def set_limit(self, allowance: Allowance) -> None:
        self.held.append(allowance)


class Setting:
    def __init__(self) -> None:
        self.reading, self.changes = AMPLE, 0
        self.model = Model()
        self.monitor = self.monitor_of(self.model)

    def monitor_of(self, model: Model) -> PressureMonitor:
        return PressureMonitor(model, self._changed, lambda: True, lambda: self.reading)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_ample_memory_leaves_the_model_alone(setting):
    setting.monitor.check(1.0)
    assert (setting.model.held, setting.changes) == ([], 0)


def test_a_shortage_reaches_the_model_once_and_its_end_too(setting):
    setting.reading = SHORT
    for tick in range(8):
        setting.monitor.check(100.0 + tick)
    assert setting.model.held[0].short
    assert setting.model.held[-1].budget_mib == 700
    logged = len(setting.model.held)
    setting.monitor.check(110.0)
    assert len(setting.model.held) == logged == setting.changes
    setting.reading = AMPLE
    for tick in range(40):
        setting.monitor.check(120.0 + tick)
    assert setting.model.held[-1] == Allowance(2048, 256)


def test_the_users_smaller_budget_is_the_new_most(setting):
    setting.model.wanted = replace(setting.model.wanted, budget_mib=1024)
    setting.monitor.check(1.0)
    setting.reading = SHORT
    setting.monitor.check(2.0)
    assert setting.model.held[-1].budget_mib < 1024


def test_a_model_is_not_touched_after_the_stop(setting):
    setting.monitor.stop()
    setting.reading = SHORT
    setting.monitor.check(1.0)
    assert setting.model.held == []


def test_a_monitor_keeps_no_model_alive(setting):
    gone = weakref.ref(setting.model)
    del setting.model
    assert gone() is None
    setting.monitor.check(1.0)


def test_a_model_that_cannot_do_with_less_is_not_asked_again_and_again(setting):
    refusals: list[Allowance] = []

    def refuse(allowance: Allowance) -> None:
        refusals.append(allowance)
        raise EngineBusy

    setting.model.set_limit = refuse
    setting.reading = SHORT
    for tick in range(8):
        setting.monitor.check(100.0 + tick)
    assert len(refusals) == len(set(refusals)) > 0


def test_the_monitor_survives_an_unexpected_error_and_logs_it_once(setting, monkeypatch, caplog):
    monkeypatch.setattr(live_budget, "WORKING_INTERVAL_S", 0.001)
    held = threading.Event()
    failures = iter([OSError("no /proc"), OSError("no /proc")])

    def read() -> MemoryReading:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return SHORT

    def hold_at_last(_allowance: Allowance) -> None:
        if not held.is_set():
            held.set()
            raise RuntimeError("once")
        setting.model.held.append(_allowance)
        arrived.set()

    arrived = threading.Event()
    setting.model.set_limit = hold_at_last
    monitor = PressureMonitor(setting.model, lambda: None, lambda: True, read)
    monitor.start()
    assert arrived.wait(PATIENCE_S), "it went on looking, and what was not held to was tried again"
    monitor.stop()
    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in logged] == ["no /proc", "once"]


def monitors() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "pressure-monitor"]


@pytest.mark.integration
def test_while_the_machine_is_short_a_model_reads_with_a_smaller_batch(starter, monkeypatch):
    short = partial(PressureMonitor, read=lambda: MemoryReading(8192, 50))
    monkeypatch.setattr(cpu_inference, "PressureMonitor", short)
    changed = threading.Event()
    with CPUInference(
        starter, context_length=256, window_mib=0.0, give_back=True, on_memory=changed.set
    ) as model:
        assert changed.wait(PATIENCE_S)
        assert model.memory.short
        assert model.memory.batch < 256
        (thread,) = monitors()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.mark.integration
@pytest.mark.parametrize("chosen_mib", [320, 360])
def test_a_budget_that_the_user_sets_while_the_governor_decides_is_kept(
    starter: Path, monkeypatch: pytest.MonkeyPatch, chosen_mib: int
) -> None:
    # What pytest holds would count as the engine's.
    monkeypatch.setattr(loading, "process_mib", lambda _pid: 0.0)
    during_the_reading, reading = [], SHORT

    def read() -> MemoryReading:
        for change in during_the_reading:
            change()
        return reading

    with CPUInference(
        starter, memory_budget=340, context_length=512, swap_enabled=True, window_mib=150.0
    ) as model:
        monitor = PressureMonitor(model._budget, lambda: None, lambda: True, read)
        for now_s in (1.0, 3.0, 5.0):
            monitor.check(now_s)
        assert model.memory.short
        assert model.memory.budget_mib < 320
        reading = AMPLE
        monitor.check(10.0)
        during_the_reading.append(lambda: model.set_memory_budget(chosen_mib))
        monitor.check(30.0)
        during_the_reading.clear()
        monitor.check(60.0)
        assert not model.memory.short
        assert model.memory.budget_mib == model.memory.wanted_mib == chosen_mib


@pytest.mark.integration
def test_without_being_asked_nobody_watches(starter: Path) -> None:
    with CPUInference(starter, context_length=256, window_mib=0.0):
        assert monitors() == []
