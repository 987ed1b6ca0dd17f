"""The page of a comparison: the answers side by side, or as tabs where the window is narrow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QTabBar, QToolButton, QVBoxLayout, QWidget

from deepseek_r1.core.events import Event, LoadProgress, ModelLoaded
from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.stats_line import compared_line
from r1desk.chat.messages.view import ChatView
from r1desk.chat.text.message_selection import mark, matches_in
from r1desk.platform.background_thread import BackgroundAnswer, ask_in_background
from r1desk.store import ChatMessage
from r1desk.theme import set_role
from r1desk.widgets.layouts import discard, filled, keep_place, put_inside
from r1desk.widgets.text_label import ElidedLabel, push_button, text_label

LEAST_COLUMN_PX = 300  # narrower ones become tabs
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


class ColumnView(QWidget):
    """One column: the model's name, its answer and its numbers."""

    def __init__(self, name: str, message: ChatMessage) -> None:
        super().__init__()
        self._key = message.id
        self.name = ElidedLabel(name)
        set_role(self.name, "heading")
        keep_place(self.name)
        self.numbers = text_label("", "dim")
        self.numbers.setAlignment(Qt.AlignmentFlag.AlignTop)
        keep_place(self.numbers, lines=2)
        self.button = QPushButton(tr("Stop"), autoDefault=False)
        self.chat = ChatView(self)
        self.chat.show_branch([message])
        if not (message.content or message.thinking):
            self.chat.stream_status(self._key, tr("Waiting for its turn"))
        layout = filled(QVBoxLayout(self), spacing=4, margins=(8, 0, 8, 0))
        head = put_inside(layout, QHBoxLayout())
        head.addWidget(self.name, stretch=1)
        head.addWidget(self.button)
        layout.addWidget(self.numbers)
        layout.addWidget(self.chat, stretch=1)
        self.setAccessibleName(name)

    def stream(self, event: Event) -> None:
        """Show an event of its engine."""
        match event:
            case LoadProgress(fraction=fraction):
                text = tr("Loading: {percent} %", percent=round(fraction * 100))
                self.chat.stream_status(self._key, text, fraction)
            case ModelLoaded():
                self.chat.stream_status(self._key, tr("Reading…"))
            case _:
                self.chat.stream(self._key, event)

    def finish(self, message: ChatMessage, loaded: ModelLoaded | None) -> None:
        """Its answer is complete: it can be continued with."""
        self.chat.finish_stream(message)
        self.button.setText(tr("Continue with this one"))
        if message.stats is not None:
            self.numbers.setText(compared_line(message.stats, loaded))


class ComparisonPage(QWidget):
    """Shows up to three columns.

    Signals:
        pressed: the number of a column whose button was pressed, to stop it or go on with it.
        requested: a column's number and an Intent of its message.
        closed: the user wants to end all, or to go back to the conversation.
    """

    pressed = Signal(int)
    requested = Signal(int, object)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[ColumnView] = []
        self._moving = False  # a column brings the others to its place
        self._comparing: BackgroundAnswer | None = None  # the words of the answers
        self.question = ElidedLabel()
        self.plan = ElidedLabel()
        set_role(self.plan, "dim")
        self.together = QToolButton(
            text=tr("Scroll together"), checkable=True, checked=True, autoRaise=True
        )
        self.differences = QToolButton(text=tr("Mark differences"), checkable=True, autoRaise=True)
        self.differences.toggled.connect(self.mark_differences)
        self.close_button = push_button("", self.closed)
        QShortcut(QKeySequence("Esc"), self, self.closed.emit)
        self.tabs = QTabBar(drawBase=False)
        self.tabs.setAccessibleName(tr("Columns"))
        self.tabs.currentChanged.connect(self._lay_out)
        layout = filled(QVBoxLayout(self), spacing=4, margins=(12, 0, 12, 8))
        top = put_inside(layout, QHBoxLayout())
        top.addWidget(self.question, stretch=1)
        for widget in (self.together, self.differences, self.close_button):
            top.addWidget(widget)
        layout.addWidget(self.plan)
        layout.addWidget(self.tabs)
        self._row = put_inside(layout, QHBoxLayout())
        self._row.setSpacing(0)
        layout.setStretch(3, 1)
        self.hide()

    def show_comparison(self, question: str, answers: Sequence[tuple[str, ChatMessage]]) -> None:
        """Show these columns, each a model's name and its answer, in place of others."""
        self.differences.setChecked(False)
        discard(*self.columns)
        self.columns = []
        while self.tabs.count():
            self.tabs.removeTab(0)
        self.plan.setText("")
        self.question.setText(" ".join(question.split()))
        self.question.setToolTip(question[:2000])
        for number, (name, message) in enumerate(answers):
            column = ColumnView(name, message)
            column.button.clicked.connect(partial(self.pressed.emit, number))
            column.chat.requested.connect(partial(self.requested.emit, number))
            bar = column.chat.column.verticalScrollBar()
            bar.valueChanged.connect(partial(self._on_scrolled, column))
            self._row.addWidget(column, stretch=1)
            self.columns.append(column)
            self.tabs.addTab(f"{number + 1} · {name}")
        self._lay_out()
        self.show_running(True)

    def show_running(self, running: bool) -> None:
        """Closing ends what runs."""
        self.close_button.setText(tr("Stop all") if running else tr("Back to the chat"))

    def _on_scrolled(self, source: ColumnView, value: int) -> None:
        """Bring the others to the same share of their height; the first that moves leads."""
        if self._moving or not self.together.isChecked():
            return
        self._moving = True
        most = source.chat.column.verticalScrollBar().maximum()
        for other in self.columns:
            if other is not source and most:
                bar = other.chat.column.verticalScrollBar()
                bar.setValue(round(value / most * bar.maximum()))
        self._moving = False

    @Slot(bool)
    def mark_differences(self, marked: bool) -> None:
        """Mark the words of each answer that the first one does not have, and the other way."""
        if self._comparing is not None:
            self._comparing.abandon()
        views = [
            view for each in self.columns if (view := each.chat.view(each.chat.messages[0].id))
        ]
        for view in views:
            mark(view, [])
        if not marked:
            return
        parts = [matches_in(view, _WORD) for view in views]
        texts = [[match.cursor.selectedText().casefold() for match in each] for each in parts]

        def show(found: list[set[int]]) -> None:
            for view, own, differing in zip(views, parts, found, strict=True):
                mark(view, [own[place] for place in sorted(differing)])

        self._comparing = ask_in_background(partial(differences_of, texts))
        self._comparing.done.connect(show)

    @Slot()
    def _lay_out(self) -> None:
        """Show all columns, or where they were too narrow the one of the current tab."""
        narrow = self.width() < LEAST_COLUMN_PX * len(self.columns)
        self.tabs.setVisible(narrow)
        self.together.setVisible(not narrow)
        for number, column in enumerate(self.columns):
            column.setVisible(not narrow or number == self.tabs.currentIndex())
            column.name.setVisible(not narrow)  # else the tab has it

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._lay_out()


def differences_of(texts: Sequence[Sequence[str]]) -> list[set[int]]:
    """The places of words that differ between the first text and any other one."""
    found: list[set[int]] = [set() for _ in texts]
    for number, text in enumerate(texts[1:], 1):
        for kind, *(a, b, c, d) in SequenceMatcher(None, texts[0], text).get_opcodes():
            if kind != "equal":
                found[0].update(range(a, b))
                found[number].update(range(c, d))
    return found
