"""Finds text in the conversation on the screen: the bar above it, and the steps between matches."""

import re
from collections.abc import Iterator, Sequence

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.message_list import MessageList
from r1desk.chat.messages.user_view import UserView
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.editor import takes_escape
from r1desk.chat.text.message_selection import mark, matches_in, pattern_of
from r1desk.chat.text.time_slicer import Slicer
from r1desk.store import ChatMessage
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import call_with

DELAY_MS = 150


class FindField(QLineEdit):
    """A line of text; Enter goes on, Shift+Enter back, Escape closes."""

    stepped = Signal(int)
    escaped = Signal()

    def __init__(self, label: str, parent: QWidget) -> None:
        super().__init__(parent, placeholderText=label)
        self.setAccessibleName(label)

    def event(self, event: QEvent) -> bool:
        return takes_escape(event) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        match event.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.stepped.emit(-1 if back else 1)
            case Qt.Key.Key_Down:
                self.stepped.emit(1)
            case Qt.Key.Key_Up:
                self.stepped.emit(-1)
            case Qt.Key.Key_Escape:
                self.escaped.emit()
            case _:
                super().keyPressEvent(event)


class FindBar(QWidget):
    """A field, the number of matches and buttons."""

    text_changed = Signal(str)  # look for this; an empty text removes the marks
    stepped = Signal(int)  # 1 for the next match, -1 for the one before
    closed = Signal()  # the bar is hidden

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = FindField(tr("Find in this chat"), self)
        self.field.setMaxLength(200)
        self._count = QLabel(self)
        self._count.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._delay = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._delay.timeout.connect(self._report_text)
        self.field.textChanged.connect(self._delay.start)
        self.field.stepped.connect(self._on_stepped)
        self.field.escaped.connect(self.close_bar)
        back = icon_button("chevron-left", tr("Previous match (Shift+Enter)"), self)
        call_with(back.clicked, self._on_stepped, -1)
        onward = icon_button("chevron-right", tr("Next match (Enter)"), self)
        call_with(onward.clicked, self._on_stepped, 1)
        close = icon_button("close", tr("Close (Esc)"), self)
        close.clicked.connect(self.close_bar)
        row = filled(QHBoxLayout(self), margins=(16, 2, 8, 6))
        row.addWidget(self.field, 1)
        for widget in (self._count, back, onward, close):
            row.addWidget(widget)
        self.hide()

    def open_bar(self) -> None:
        self.show()
        self.field.setFocus()
        self.field.selectAll()
        self._report_text()

    @Slot()
    def close_bar(self) -> None:
        if not self.isHidden():
            self._delay.stop()
            self.hide()
            self.text_changed.emit("")
            self.closed.emit()

    def show_count(self, count: int) -> None:
        text = tr("{count} found", count=f"{count:,}") if self.field.text().strip() else ""
        self._count.setText(text)

    @Slot()
    def _report_text(self) -> None:
        self._delay.stop()
        self.text_changed.emit(self.field.text())

    @Slot(int)
    def _on_stepped(self, delta: int) -> None:
        if self._delay.isActive():
            self._report_text()  # shows the first match
        else:
            self.stepped.emit(delta)


LAST = -1


class TextFinder(QObject):
    """Marks matches in one message at a time, the current one stronger, and scrolls to it."""

    def __init__(self, column: MessageList, slicer: Slicer) -> None:
        super().__init__(column)
        self._column = column
        self._slicer = slicer
        self._pattern: re.Pattern[str] | None = None
        self._found: list[int] = []  # messages with a match, from top to bottom
        self._message: int | None = None  # the message whose matches are marked
        self._index = 0

    def find(self, messages: Sequence[ChatMessage], text: str) -> int:
        """Look for all of `text`, show the next match below what is read; returns the number."""
        self.clear()
        if not text.strip():
            return 0
        self._pattern = re.compile(re.escape(text.strip()), re.IGNORECASE)
        counts = {m.id: len(self._pattern.findall(m.content)) for m in messages}
        self._found = [key for key, count in counts.items() if count]
        if self._found:
            top = self._column.top_key()
            order = list(counts)
            below = [k for k in self._found if top is None or order.index(k) >= order.index(top)]
            self._show(below[0] if below else self._found[-1], 0)
        return sum(counts.values())

    def show(self, message_id: int, query: str) -> None:
        """Show the first word of `query` in a message, and mark all of them there."""
        self.clear()
        self._pattern = pattern_of(query)
        if self._pattern is not None:
            self._found = [message_id]
            self._show(message_id, 0)

    @Slot(int)
    def step(self, delta: int) -> None:
        """Go to the next match (1) or the one before (-1); behind the last comes the first."""
        if self._message is None or self._pattern is None:
            return
        view = self._column.view(self._message)
        count = len(matches_in(view, self._pattern)) if view is not None else 0
        if 0 <= self._index + delta < count:
            self._show(self._message, self._index + delta)
            return
        position = self._found.index(self._message) + delta
        self._show(self._found[position % len(self._found)], 0 if delta > 0 else LAST)

    def clear(self) -> None:
        self._unmark()
        self._pattern, self._found = None, []

    def _unmark(self) -> None:
        if self._message is not None and (view := self._column.view(self._message)):
            mark(view, [])
        self._message = None

    def _show(self, message_id: int, index: int) -> None:
        if message_id != self._message:
            self._unmark()
        self._message, self._index = message_id, index
        view = self._column.view(message_id)
        if view is None:
            self._column.show_key(message_id)
            view = self._column.build_now(message_id)
        if isinstance(view, UserView):
            view.unfold()
        self._slicer.add(view, self._marking(message_id, index))

    def _marking(self, message_id: int, index: int) -> Iterator[None]:
        """Runs when the text of the message, which is loaded in slices, is there."""
        yield
        view = self._column.view(message_id)
        shown = (self._message, self._index)
        if view is None or self._pattern is None or shown != (message_id, index):
            return  # the user has gone on
        matches = matches_in(view, self._pattern)
        if not matches:  # the source has a match that is not shown, as in a link's address
            self._column.show_key(message_id)
            return
        self._index = index % len(matches)
        current = matches[self._index]
        mark(view, matches, current)
        self._column.place()
        self._column.show_key(message_id, current.top_in(view))
        yield
