"""The bar above the conversation in which one looks for text in it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.editor import is_escape

DELAY_MS = 150


class FindField(QLineEdit):
    """A line of text; Enter goes on, Shift+Enter back, Escape closes."""

    stepped = Signal(int)
    escaped = Signal()

    def event(self, event: QEvent) -> bool:
        """Keep Escape, which is the window's shortcut for stopping an answer."""
        if event.type() == QEvent.Type.ShortcutOverride and is_escape(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter, Up and Down step through the matches."""
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
    """A field, the number of matches and buttons.

    Signals:
        text_changed: look for this; an empty text removes the marks.
        stepped: 1 for the next match, -1 for the one before.
        closed: the bar is hidden.
    """

    text_changed = Signal(str)
    stepped = Signal(int)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = FindField(self)
        self.field.setPlaceholderText(tr("Find in this conversation"))
        self.field.setAccessibleName(tr("Find in this conversation"))
        self.field.setMaxLength(200)
        self._count = QLabel(self)
        self._count.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._delay = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._delay.timeout.connect(self._report_text)
        self.field.textChanged.connect(self._delay.start)
        self.field.stepped.connect(self._on_stepped)
        self.field.escaped.connect(self.close_bar)
        back = icon_button("chevron-left", tr("Match before (Shift+Enter)"), self)
        back.clicked.connect(lambda: self._on_stepped(-1))
        onward = icon_button("chevron-right", tr("Next match (Enter)"), self)
        onward.clicked.connect(lambda: self._on_stepped(1))
        close = icon_button("close", tr("Close (Esc)"), self)
        close.clicked.connect(self.close_bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 2, 8, 6)
        row.addWidget(self.field, 1)
        for widget in (self._count, back, onward, close):
            row.addWidget(widget)
        self.hide()

    def open_bar(self) -> None:
        """Show the bar and put the cursor into it."""
        self.show()
        self.field.setFocus()
        self.field.selectAll()
        self._report_text()

    @Slot()
    def close_bar(self) -> None:
        """Hide the bar and remove the marks."""
        if not self.isHidden():
            self._delay.stop()
            self.hide()
            self.text_changed.emit("")
            self.closed.emit()

    def show_count(self, count: int) -> None:
        """The number of matches, shown while there is something to look for."""
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
