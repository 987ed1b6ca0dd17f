"""Formulas never keep the window's thread for 50 ms of the processor."""

import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import AnswerDelta
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.messages.view import ChatView
from r1desk.store import ChatMessage
from support.formula_corpus import FORMULAS, HOSTILE

LIMIT_MS = 50.0
TOKEN_CHARACTERS, TOKENS_A_SECOND = 4, 100

pytestmark = [pytest.mark.quiet, pytest.mark.integration]


class GapMeter:
    """Measures gaps of the event loop, in the thread's processor time, with a timer always due."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._last_s = time.thread_time()
        self._timer = QTimer()
        self._timer.timeout.connect(self._on_timeout)
        self._timer.start(0)

    def _on_timeout(self) -> None:
        now_s = time.thread_time()
        self.longest_ms = max(self.longest_ms, 1000 * (now_s - self._last_s))
        self._last_s = now_s

    def stop(self) -> float:
        """The longest gap in milliseconds."""
        self._timer.stop()
        return self.longest_ms


@pytest.fixture
def shown_view(qtbot: QtBot) -> Iterator[ChatView]:
    """A chat in a shown window, its child process running."""
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(1000, 760)
    view = ChatView(window)
    view.resize(1000, 760)
    window.show()
    view.show_branch([ChatMessage(1, "assistant", "\\(x\\)")])
    qtbot.wait(1_000)
    yield view
    view.findChild(FormulaService).close()
    window.close()


def page_of_formulas() -> str:
    """An answer with a formula in each line, and every second one on lines of its own too."""
    lines = []
    for number, source in enumerate(FORMULAS, 1):
        lines.append(f"{number}. Step {number} with \\({source}\\) in the line:\n")
        if number % 2 == 0:
            lines.append(f"   \\[\n   {source}\n   \\]\n")
    return "\n".join(lines)


def test_a_hostile_formula_does_not_stall_the_window(shown_view: ChatView, qtbot: QtBot) -> None:
    for number, source in enumerate(HOSTILE[::5], 2):
        meter = GapMeter()
        text = f"a \\({source}\\) b\n\n\\[\n{source}\n\\]\n"
        shown_view.show_branch([ChatMessage(number, "assistant", text)])
        qtbot.wait(60)
        qtbot.waitUntil(lambda: not shown_view.findChild(FormulaService).is_busy)
        qtbot.wait(20)
        assert meter.stop() < LIMIT_MS, source[:40]


def test_streaming_a_page_of_formulas_does_not_stall_the_window(shown_view, qtbot):
    text = page_of_formulas()[: 3 * TOKENS_A_SECOND * TOKEN_CHARACTERS]
    question = ChatMessage(1, "user", "?")
    shown_view.show_branch([question, ChatMessage(2, "assistant", "", state="streaming")])
    qtbot.wait(300)
    meter, started = GapMeter(), time.perf_counter()
    for at in range(0, len(text), TOKEN_CHARACTERS):
        shown_view.stream(2, AnswerDelta(text=text[at : at + TOKEN_CHARACTERS]))
        due = started + at / (TOKENS_A_SECOND * TOKEN_CHARACTERS)
        qtbot.wait(max(0, round(1000 * (due - time.perf_counter()))))
    shown_view.finish_stream(ChatMessage(2, "assistant", text))
    qtbot.wait(500)
    assert meter.stop() < LIMIT_MS
