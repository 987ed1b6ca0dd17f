"""Another text size: the reader stays where he was."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from benchmarks.bench_stream import conversation
from r1desk.chat.widgets.view import ChatView

Settled = Callable[[ChatView], None]


def resize_text(points: int) -> QFont:
    before = QFont(QApplication.font())
    larger = QFont(before)
    larger.setPointSize(points)
    QApplication.setFont(larger)
    return before


def test_the_end_stays_in_view(view: ChatView, settled: Settled, qtbot: QtBot) -> None:
    view.show_branch(conversation(20_000))
    settled(view)
    bar = view.column.verticalScrollBar()
    before = resize_text(QApplication.font().pointSize() + 4)
    try:
        settled(view)
        assert bar.value() == bar.maximum()
    finally:
        QApplication.setFont(before)
        settled(view)
    assert bar.value() == bar.maximum()


def test_the_message_that_is_read_stays_in_view(
    view: ChatView, settled: Settled, qtbot: QtBot
) -> None:
    messages = conversation(20_000)
    view.show_branch(messages)
    settled(view)
    bar = view.column.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    settled(view)

    def at_top() -> int:
        shown = [(m.id, view.view(m.id)) for m in view.messages]
        return next(i for i, v in shown if v and v.y() <= bar.value() < v.y() + v.height() + 40)

    read = at_top()
    before = resize_text(QApplication.font().pointSize() + 4)
    try:
        settled(view)
        assert at_top() == read
    finally:
        QApplication.setFont(before)
        settled(view)
