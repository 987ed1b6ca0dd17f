"""A strip for one notice. It never covers other widgets and never blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.theme import tokens
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.text_label import selectable_label

INFO_SHOWN_MS = 8000


class Level(StrEnum):
    """Severity of a notice; only information goes away by itself."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


# The colour of a notice's edge and symbol, a field of `Tokens`.
_COLOURS = {Level.INFO: "accent", Level.WARNING: "warning", Level.ERROR: "danger"}


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence, and at most two things that can be done about it."""

    text: str
    level: Level = Level.ERROR
    action: str = ""
    on_action: Callable[[], object] | None = None
    other: str = ""
    on_other: Callable[[], None] | None = None
    stays: bool = False  # until it is withdrawn


class NoticeBar(QWidget):
    """Shows the newest notice; a warning that it covers comes back when it goes.

    Signals:
        keyboard_left: it had the keyboard and has gone.
    """

    keyboard_left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.notice: Notice | None = None
        self.setObjectName("notice")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._covered: list[Notice] = []
        self._symbol = QLabel()
        self.label = selectable_label()
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.action_button = QPushButton()
        self.action_button.clicked.connect(self._on_action)
        self.other_button = QPushButton()
        self.other_button.clicked.connect(self._on_other)
        self.close_button = QToolButton(icon=icon("close"), autoRaise=True)
        self.close_button.setAccessibleName(tr("Close this notice"))
        self.close_button.clicked.connect(self.clear)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.addWidget(self._symbol, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.label, stretch=1)
        buttons = put_inside(layout, QVBoxLayout(spacing=6))
        buttons.addWidget(self.action_button)
        buttons.addWidget(self.other_button)
        layout.addWidget(self.close_button, alignment=Qt.AlignmentFlag.AlignTop)
        self._align_symbol()
        self._expiry = QTimer(self, singleShot=True, interval=INFO_SHOWN_MS)
        self._expiry.timeout.connect(self.clear)
        self.hide()

    def show_notice(self, notice: Notice) -> None:
        """Show `notice` in place of the present one."""
        before = self.notice
        lasts = before is not None and (before.level == Level.WARNING or before.stays)
        if before is not None and lasts and before.text != notice.text:
            self._covered.append(before)
        self._covered = [covered for covered in self._covered if covered.text != notice.text]
        self._show(notice)

    def _show(self, notice: Notice) -> None:
        self.notice = notice
        self.label.setText(notice.text)
        self.setAccessibleName(notice.text)
        self.action_button.setText(notice.action)
        self.action_button.setVisible(bool(notice.action))
        self.other_button.setText(notice.other)
        self.other_button.setVisible(bool(notice.other))
        self._colour(notice.level)
        self.show()
        if notice.level == Level.INFO and not notice.stays:
            self._expiry.start()
        else:
            self._expiry.stop()

    def _colour(self, level: Level) -> None:
        colours, role = tokens(), _COLOURS[level]
        sheet = (
            f"#notice {{ background: {colours.raised}; border: 1px solid {colours.border};"
            f" border-left: 4px solid {getattr(colours, role)}; border-radius: 6px; }}"
        )
        if sheet != self.styleSheet():
            self.setStyleSheet(sheet)
        name = "info" if level == Level.INFO else "warning"
        self._symbol.setPixmap(icon(name, role).pixmap(18, 18))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.notice is not None:
            self._colour(self.notice.level)
        elif event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and self.layout():
            self._align_symbol()

    def _align_symbol(self) -> None:
        """Keep one line of text level with the symbol."""
        self._symbol.setFixedHeight(self.close_button.sizeHint().height())

    def withdraw(self, text: str) -> None:
        """Take the notice with this text away, also from below another one."""
        self._covered = [covered for covered in self._covered if covered.text != text]
        if self.notice is not None and self.notice.text == text:
            self.clear()

    @Slot()
    def clear(self) -> None:
        """Take the notice away."""
        self.notice = None
        if self._covered:
            self._show(self._covered.pop())
            return
        focused = self.window().focusWidget()
        had_keyboard = focused is not None and self.isAncestorOf(focused)
        self.hide()
        if had_keyboard:
            self.keyboard_left.emit()

    @Slot()
    def _on_action(self) -> None:
        self._do(self.notice.on_action if self.notice is not None else None)

    @Slot()
    def _on_other(self) -> None:
        self._do(self.notice.on_other if self.notice is not None else None)

    def _do(self, action: Callable[[], None] | None) -> None:
        self.clear()
        if action is not None:
            action()
