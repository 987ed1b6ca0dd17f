"""Measuring happens beside the window; a window that grows beyond its share is given more of it."""

import os
import threading

import pytest
from PySide6.QtCore import QObject, QThread, Signal
from PySide6.QtWidgets import QApplication

from deepseek_r1.host.protocol import EngineState
from r1desk.performance import resource_sampler as sampler_module
from r1desk.performance.readings import ResourceSample
from r1desk.performance.resource_sampler import (
    ACTIVE_MS,
    IDLE_MS,
    LASTING_S,
    MARGIN_MIB,
    SETTLING_S,
    OverrunDetector,
    ResourceSampler,
)

# Said by the offscreen platform about every window with a least size.
pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


class EngineStandIn(QObject):
    heartbeat = Signal(object)
    state_changed = Signal(object, str)
    state = EngineState.IDLE
    engine_pid = 0
    comparison = None

    def enter(self, state: EngineState) -> None:
        self.state = state
        self.state_changed.emit(state, "")


@pytest.fixture
def engine(qapp: QApplication) -> EngineStandIn:
    return EngineStandIn()


@pytest.fixture
def sampler(engine: EngineStandIn):
    sampler = ResourceSampler(engine)
    yield sampler
    sampler.stop()


def test_a_reading_says_what_this_process_and_machine_use(engine, sampler, qtbot):
    engine.engine_pid = os.getpid()
    with qtbot.waitSignal(sampler.sampled) as sampled:
        sampler.start()
    reading = sampled.args[0]
    assert isinstance(reading, ResourceSample)
    assert 20 < reading.window_mib < 4000
    assert reading.engine_mib == pytest.approx(reading.window_mib, rel=0.1)
    assert 0 < reading.machine_used_mib < reading.machine_total_mib


def test_measuring_is_not_done_in_the_windows_thread(sampler: ResourceSampler, qtbot, monkeypatch):
    threads: list[QThread] = []
    real = sampler_module.memory_reading

    def noted() -> object:
        threads.append(QThread.currentThread())
        return real()

    monkeypatch.setattr(sampler_module, "memory_reading", noted)
    with qtbot.waitSignal(sampler.sampled):
        sampler.start()
    assert threads
    assert threads[0] is not QThread.currentThread()


def test_it_measures_rarely_while_the_engine_rests(engine: EngineStandIn, sampler: ResourceSampler):
    assert sampler._timer.interval() == IDLE_MS
    engine.enter(EngineState.GENERATING)
    assert sampler._timer.interval() == ACTIVE_MS
    engine.enter(EngineState.IDLE)
    assert sampler._timer.interval() == IDLE_MS


def test_after_stop_nothing_is_reported(sampler: ResourceSampler, qtbot):
    received: list[ResourceSample] = []
    sampler.sampled.connect(received.append)
    sampler.start()
    sampler.stop()
    qtbot.wait(200)
    assert received == []


def test_a_measurement_that_failed_is_reported_and_the_next_one_comes(
    engine: EngineStandIn, sampler: ResourceSampler, qtbot, monkeypatch
):
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: failed.append(args.exc_value))
    real, gone = sampler_module.memory_reading, OSError("/proc is gone")

    def failing_once() -> object:
        if not failed:
            raise gone
        return real()

    monkeypatch.setattr(sampler_module, "memory_reading", failing_once)
    sampler.start()
    qtbot.waitUntil(lambda: failed == [gone])
    with qtbot.waitSignal(sampler.sampled):
        engine.enter(EngineState.GENERATING)


@pytest.mark.parametrize(
    ("readings", "moved_mib"),  # MiB, and when
    [
        ([(419.0, 0.0), (419.0, 60.0)], 0.0),
        ([(430.0, 0.0), (432.0, LASTING_S)], 12.0 + MARGIN_MIB),
        ([(430.0, 0.0), (415.0, 1.0), (430.0, 2.0), (430.0, 1.9 + LASTING_S)], 0.0),
    ],
)
def test_only_an_excess_that_lasts_is_given_to_the_window(readings, moved_mib) -> None:
    detector = OverrunDetector()
    *before, last = [detector.observe(mib, 420.0, at_s) for mib, at_s in readings]
    assert not any(before)
    assert last == moved_mib


def test_a_change_has_time_to_take_effect_before_the_next() -> None:
    detector = OverrunDetector()
    seconds = range(20)
    moved_at_s = [at_s for at_s in seconds if detector.observe(430.0, 420.0, at_s)]
    assert moved_at_s == [LASTING_S, 2 * LASTING_S + SETTLING_S]
