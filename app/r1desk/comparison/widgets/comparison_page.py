"""The page of a comparison: the answers side by side, or as tabs where the window is narrow."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QTabBar, QToolButton, QVBoxLayout, QWidget

from deepseek_r1.core.events import Event, LoadProgress, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import short_names
from r1desk.chat.messages.stats_line import compared_line
from r1desk.chat.messages.view import ChatView
from r1desk.chat.text.message_selection import mark, matches_in
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.store import ChatMessage, MessageState
from r1desk.theme import explain, set_role
from r1desk.widgets.layouts import filled, keep_place, put_inside, with_properties
from r1desk.widgets.text_label import ElidedLabel, call_with, push_button, text_label

LEAST_COLUMN_PX = 300  # narrower ones become tabs
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


class ColumnView(QWidget):
    """One column: the model's name, its answer and its numbers."""

    def __init__(self, message: ChatMessage, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.key = message.id
        self.loaded: ModelLoaded | None = None
        self.finished = False  # its answer can be continued with
        self.name = ElidedLabel(name)
        explain(self.name, message.model_name)
        set_role(self.name, "heading")
        self.numbers = text_label("", "dim")
        self.numbers.setAlignment(Qt.AlignmentFlag.AlignTop)
        keep_place(self.numbers, lines=2)
        self.button = QPushButton(tr("Stop"), autoDefault=False)
        self.chat = ChatView(self, welcomes=False)
        self.chat.show_branch([message])
        if not (message.content or message.thinking):
            self.chat.stream_status(self.key, tr("Waiting"))
        layout = filled(QVBoxLayout(self), spacing=4, margins=(8, 0, 8, 0))
        head = put_inside(layout, QHBoxLayout())
        head.addWidget(self.name, stretch=1)
        head.addWidget(self.button)
        layout.addWidget(self.numbers)
        layout.addWidget(self.chat, stretch=1)
        self.setAccessibleName(name)


class ComparisonPage(QWidget):
    """Shows up to three columns."""

    stopped = Signal(int)  # the place of a column that is to end
    chosen = Signal(int)  # that of the one to go on with, in the conversation
    left = Signal()  # the conversation is to be shown again
    requested = Signal(int, object)  # a column's place and an Intent of its message

    def __init__(
        self, question: str, plan: str, answers: Sequence[ChatMessage], parent: QWidget
    ) -> None:
        """Widgets have their parents from the beginning: Qt styles again what gets one later."""
        super().__init__(parent)
        names = short_names([(each.model_name,) for each in answers])
        self.columns = [ColumnView(*each, self) for each in zip(answers, names, strict=True)]
        self._moving = False  # a column brings the others to its place
        self.tasks = Tasks(self)
        asked = ElidedLabel(" ".join(question.split()))
        asked.setToolTip(question[:2000])
        self.plan = ElidedLabel(plan)
        set_role(self.plan, "dim")
        self.together = with_properties(
            QToolButton(), text=tr("Scroll together"), checkable=True, checked=True, autoRaise=True
        )
        self.differences = with_properties(
            QToolButton(), text=tr("Mark differences"), checkable=True, autoRaise=True
        )
        self.differences.toggled.connect(self.mark_differences)
        self.close_button = push_button(tr("Stop all"), self._on_closed)
        QShortcut(QKeySequence("Esc"), self, self._on_closed)
        self.tabs = QTabBar(drawBase=False)
        self.tabs.setAccessibleName(tr("Columns"))
        layout = filled(QVBoxLayout(self), spacing=4, margins=(12, 0, 12, 8))
        top = put_inside(layout, QHBoxLayout())
        top.addWidget(asked, stretch=1)
        for widget in (self.together, self.differences, self.close_button):
            top.addWidget(widget)
        layout.addWidget(self.plan)
        layout.addWidget(self.tabs)
        row = put_inside(layout, with_properties(QHBoxLayout(), spacing=0))
        layout.setStretch(3, 1)
        for place, column in enumerate(self.columns):
            call_with(column.button.clicked, self._on_pressed, place)
            column.chat.requested.connect(partial(self.requested.emit, place))
            bar = column.chat.column.verticalScrollBar()
            bar.valueChanged.connect(partial(self._on_scrolled, column))
            row.addWidget(column, stretch=1)
            self.tabs.addTab(f"{place + 1} · {column.name.text()}")
        self.tabs.currentChanged.connect(self._lay_out)
        self.hide()
        for place, each in enumerate(answers):
            if each.state != MessageState.STREAMING:
                self.finish(place, each)

    @Slot(int, object)
    def stream(self, place: int, event: Event) -> None:
        """Show an event of a column's engine."""
        column = self.columns[place]
        chat, key = column.chat, column.key
        match event:
            case LoadProgress(fraction=fraction):
                text = tr("Loading: {percent} %", percent=round(fraction * 100))
                chat.stream_status(key, text, fraction)
            case ModelLoaded():
                column.loaded = event
                chat.stream_status(key, tr("Reading…"))
            case _:
                chat.stream(key, event)

    @Slot(int, object)
    def finish(self, place: int, message: ChatMessage) -> None:
        """The answer of a column is complete: it can be continued with."""
        column = self.columns[place]
        column.finished = True
        column.chat.finish_stream(message)
        column.button.setText(tr("Continue with this one"))
        if message.stats is not None:
            column.numbers.setText(compared_line(message.stats, column.loaded))
        if all(each.finished for each in self.columns):
            self.close_button.setText(tr("Back to the chat"))

    def _on_pressed(self, place: int) -> None:
        (self.chosen if self.columns[place].finished else self.stopped).emit(place)

    @Slot()
    def _on_closed(self) -> None:
        """Stop what is being written; where nothing is, go back to the conversation."""
        running = [place for place, each in enumerate(self.columns) if not each.finished]
        for place in running:
            self.stopped.emit(place)
        if not running:
            self.left.emit()

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
        self._mark(marked=marked)

    @newest_task
    async def _mark(self, *, marked: bool) -> None:
        views = [view for each in self.columns if (view := each.chat.view(each.key)) is not None]
        matches = [matches_in(view, _WORD) if marked else [] for view in views]
        texts = [[match.cursor.selectedText().casefold() for match in each] for each in matches]
        found = await ask_in_background(differences_of, texts)
        views = [view for each in self.columns if (view := each.chat.view(each.key)) is not None]
        for view, own, differing in zip(views, matches, found, strict=True):
            mark(view, [own[place] for place in sorted(differing)])

    @Slot()
    def _lay_out(self) -> None:
        """Show all columns, or where they were too narrow the one of the current tab."""
        narrow = self.width() < LEAST_COLUMN_PX * len(self.columns)
        self.tabs.setVisible(narrow)
        self.together.setVisible(not narrow)
        for number, column in enumerate(self.columns):
            column.setVisible(not narrow or number == self.tabs.currentIndex())

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
