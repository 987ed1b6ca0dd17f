"""The bars above a conversation: the one to find text in it, and its system prompt."""

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.editor import takes_escape
from r1desk.theme import set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import ElidedLabel, call_with

DELAY_MS = 150
MAX_CHARACTERS = 400


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


class InstructionsChip(QFrame):
    """Shows the system prompt in one line, all of it in its tooltip; hidden while it is empty."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("instructions")
        set_role(self, "card")
        self.label = ElidedLabel(self)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setFont(scaled(self.font(), 0.88))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        filled(QHBoxLayout(self), self.label, margins=(12, 3, 12, 3))
        self.hide()

    def set_instructions(self, text: str) -> None:
        """Show a system prompt; an empty one hides the line."""
        line = fit.prose(" ".join(text[:MAX_CHARACTERS].split()))
        self.label.setText(tr("Instructions: {instructions}", instructions=line) if line else "")
        self.setToolTip(fit.plain_tooltip(text[: 10 * MAX_CHARACTERS]))
        self.setVisible(bool(line))

    def sizeHint(self) -> QSize:
        """As wide as the line, and no wider than its parent has room for."""
        hint = super().sizeHint()
        parent = self.parentWidget()
        most = parent.width() - 32 if parent is not None else hint.width()
        return QSize(min(hint.width(), most), hint.height())
