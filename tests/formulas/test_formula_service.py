"""The child process that sets formulas: asked, killed, restarted, ended; never waited for."""

import os
import sys
from collections.abc import Iterator

import psutil
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core import child_call
from deepseek_r1.memory import meter
from r1desk.chat.formulas import FormulaKey, formula_service
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.platform.helper_processes import window_and_helpers_mib

HALF = FormulaKey(r"\frac{1}{2}", display=True)
UNKNOWN = FormulaKey(r"\foo{1}", display=True)


@pytest.fixture
def service(qapp: QApplication) -> Iterator[FormulaService]:
    service = FormulaService()
    yield service
    service.close()


def settle(service: FormulaService, qtbot: QtBot, *keys: FormulaKey) -> None:
    for key in keys:
        service.request(key)
    qtbot.waitUntil(lambda: all(service.is_settled(key) for key in keys))


def test_a_formula_is_set_and_remembered_and_so_is_what_cannot_be_set(
    service: FormulaService, qtbot: QtBot
) -> None:
    assert not service.is_settled(HALF)
    assert service.child.call is None  # no process runs before the first formula
    with qtbot.waitSignal(service.settled) as blocker:
        service.request(HALF)
    assert blocker.args == [frozenset({HALF})]
    layout = service.layout(HALF)
    assert layout is not None
    assert layout.ascent > 0
    assert "over" in layout.speech or "half" in layout.speech
    settle(service, qtbot, UNKNOWN)
    assert service.layout(UNKNOWN) is None


def test_a_formula_that_hangs_is_given_up(service, qtbot, monkeypatch):
    settle(service, qtbot, HALF)
    monkeypatch.setattr(formula_service, "_REPLY_S", 0.2)
    psutil.Process(service.child.call.pid).suspend()
    first, second = FormulaKey("x", display=True), FormulaKey("y", display=True)
    settle(service, qtbot, first, second)
    assert service.layout(first) is None
    assert service.layout(second) is not None


def test_after_a_crash_the_next_formula_is_set(service: FormulaService, qtbot: QtBot) -> None:
    settle(service, qtbot, HALF)
    process = service.child.call.pid
    psutil.Process(process).kill()
    qtbot.waitUntil(lambda: not psutil.pid_exists(process))
    later = FormulaKey("z", display=True)
    settle(service, qtbot, later)
    assert service.layout(later) is not None


NONSENSE = "import os; os.read(0, 9); os.write(1, bytes([0, 0, 0, 12]) + b'{\"width\":-1}')"


@pytest.mark.parametrize("command", [["/nowhere/r1desk"], [sys.executable, "-c", NONSENSE]])
def test_without_a_process_that_answers_formulas_stay_source(service, qtbot, monkeypatch, command):
    monkeypatch.setattr(child_call, "child_command", lambda _kind: command)
    settle(service, qtbot, HALF)
    assert service.layout(HALF) is None


def test_the_process_ends_when_nothing_is_asked(service: FormulaService, qtbot: QtBot) -> None:
    settle(service, qtbot, HALF)
    process = service.child.call.pid
    service._idle_timer.start(10)
    qtbot.waitUntil(lambda: not psutil.pid_exists(process))
    assert service.child.call is None
    assert service.layout(HALF) is not None


def test_the_memory_of_layouts_is_bounded(service, qtbot, monkeypatch):
    monkeypatch.setattr(formula_service, "_MAX_KEPT_BYTES", 5_000)
    keys = [FormulaKey(f"x_{{{number}}}", display=True) for number in range(20)]
    for key in keys:
        service.request(key)
    qtbot.waitUntil(lambda: not service.is_busy)
    assert 0 < sum(service.is_settled(key) for key in keys) < 20
    assert service.is_settled(keys[-1])


def test_the_memory_of_the_process_counts_as_the_windows(service, qtbot):
    def counted_beside_the_window() -> float:
        return window_and_helpers_mib() - meter.process_mib(os.getpid())

    settle(service, qtbot, HALF)
    assert counted_beside_the_window() > 5
    service.close()
    assert counted_beside_the_window() < 2
