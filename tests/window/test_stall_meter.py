"""The meter of stalls sees every way in which a slot holds the event loop up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from window.stall_meter import StallMeter

HELD_S = 0.3


def sleep() -> None:
    time.sleep(HELD_S)


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(HELD_S, lock.release).start()
    with lock:
        pass


def compute() -> None:
    spent = time.thread_time()
    while time.thread_time() - spent < HELD_S:
        pass


@pytest.mark.parametrize("hold", [sleep, wait_for_a_lock, compute])
def test_a_slot_that_holds_the_loop_up_is_seen(qtbot: QtBot, hold: Callable[[], None]) -> None:
    # A processor that is taken away meanwhile is taken off, so one try may fall short.
    assert any(measured(qtbot, hold) > HELD_S * 0.8 for _ in range(5))


def measured(qtbot: QtBot, hold: Callable[[], None]) -> float:
    meter = StallMeter()
    QTimer.singleShot(20, hold)
    qtbot.wait(30)
    qtbot.wait(30)
    meter.stop()
    return meter.worst_s
