"""Notices in a corner of the chat, or in a column of a dialog. They never block."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import discard, filled, put_inside
from r1desk.widgets.text_label import Action, call_with, selectable_label, tool_button

INFO_SHOWN_MS = 6000
_WIDE_EM = 30  # of a bar that floats
_MARGIN_PX = 16
MOST_SHOWN = 3  # the others wait until one of these goes


class Level(StrEnum):
    """Severity of a notice; only information goes away by itself."""

    INFO = "info"
    WORK = "work"  # something goes on; it is withdrawn when that ends
    WARNING = "warning"
    ERROR = "error"


_SYMBOLS = {  # and their colours, which the style sheet has too: that of the edge
    Level.INFO: ("info", "accent"),
    Level.WORK: ("info", "accent"),
    Level.WARNING: ("warning", "warning"),
    Level.ERROR: ("warning", "danger"),
}
_FITTED_AFTER = (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange)


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence, and what can be done about it: labels of buttons, and what they call.

    All notices of a `topic` can be withdrawn together, once their cause is gone.
    """

    text: str
    level: Level = Level.ERROR
    actions: Mapping[str, Action] = field(default_factory=dict)
    topic: str = ""


class NoticeRow(QWidget):
    """One notice; following it, or time, presses its close button too."""

    def __init__(self, notice: Notice, parent: QWidget) -> None:
        super().__init__(parent)
        self.notice = notice
        self.setObjectName("notice")
        self.setAccessibleName(notice.text)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._symbol = QLabel()
        self.label = selectable_label(notice.text)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.close_button = tool_button("close", tr("Close this notice"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.addWidget(self._symbol, alignment=Qt.AlignmentFlag.AlignTop)
        column = put_inside(layout, QVBoxLayout())
        column.addWidget(self.label)
        self.buttons = [QPushButton(label) for label in notice.actions]
        width = (_WIDE_EM - 6) * self.fontMetrics().height()
        beside = sum(each.sizeHint().width() + 6 for each in self.buttons) <= width
        row = filled(put_inside(column, QHBoxLayout() if beside else QVBoxLayout()), spacing=6)
        for button in self.buttons:
            row.addWidget(button, alignment=Qt.AlignmentFlag.AlignLeft)
        row.addStretch()
        for button, action in zip(self.buttons, notice.actions.values(), strict=True):
            button.clicked.connect(self.close_button.click)
            call_with(button.clicked, action)
        layout.addWidget(self.close_button, alignment=Qt.AlignmentFlag.AlignTop)
        self.setProperty("level", str(notice.level))
        self._fit_symbol()
        if notice.level == Level.INFO:
            QTimer.singleShot(INFO_SHOWN_MS, self, self.close_button.click)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in _FITTED_AFTER and self.layout():
            self._fit_symbol()

    def _fit_symbol(self) -> None:
        """Draw the symbol in the theme's colour, level with one line of text."""
        self._symbol.setPixmap(icon(*_SYMBOLS[self.notice.level]).pixmap(18, 18))
        self._symbol.setFixedHeight(self.close_button.sizeHint().height())


class NoticeBar(QWidget):
    """Shows the newest notices, the newest first; information takes the place of information."""

    keyboard_left = Signal()  # a notice had the keyboard and has gone

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[NoticeRow] = []
        self._area: QWidget | None = None
        self._within: QWidget | None = None
        self._column = filled(QVBoxLayout(self), spacing=6)
        self.hide()

    def float_over(self, area: QWidget, within: QWidget) -> None:
        """Stand in the upper right corner of `within`, a part of `area`: nothing there moves.

        Below is the newest answer with its buttons.
        """
        self._area, self._within = area, within
        self.setParent(area)
        for widget in (area, within):
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move):
            self._place()
        return super().eventFilter(watched, event)

    def event(self, event: QEvent) -> bool:
        """Another notice has another height."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._place()
        return super().event(event)

    def _place(self) -> None:
        if self._area is None or self._within is None:
            return
        width = min(_WIDE_EM * self.fontMetrics().height(), self._area.width() - 2 * _MARGIN_PX)
        height = max(self._column.heightForWidth(width), self._column.minimumSize().height())
        left = self._area.width() - _MARGIN_PX - width
        self.setGeometry(left, self._within.y() + 8, width, height)
        self.raise_()

    @property
    def text(self) -> str:
        """All notices, one a line."""
        return "\n".join(row.notice.text for row in self.rows)

    def show_notice(self, notice: Notice) -> None:
        """Show `notice` above the others."""
        is_info = notice.level == Level.INFO
        for row in tuple(self.rows):
            if row.notice.text == notice.text or (is_info and row.notice.level == Level.INFO):
                self._remove(row)
        row = NoticeRow(notice, self)
        call_with(row.close_button.clicked, self._remove, row)
        self.rows.insert(0, row)
        self._column.insertWidget(0, row)
        self._show_newest()

    def _show_newest(self) -> None:
        for place, row in enumerate(self.rows):
            row.setVisible(place < MOST_SHOWN)
        self.setVisible(bool(self.rows))
        self._place()

    def _remove(self, row: NoticeRow) -> None:
        if row not in self.rows:
            return  # it was replaced at the moment at which its time was over
        focused = self.window().focusWidget()
        self.rows.remove(row)
        discard(row)
        self._show_newest()
        if focused is not None and row.isAncestorOf(focused):
            self.keyboard_left.emit()

    def change_text(self, topic: str, text: str) -> None:
        """Show another text on the notice of a topic, unless it was closed."""
        for row in self.rows:
            if row.notice.topic == topic:
                row.notice = replace(row.notice, text=text)
                row.setAccessibleName(text)
                row.label.setText(text)

    def withdraw(self, outdated: str) -> None:
        """Take the notices of this topic, or with this text, away."""
        for row in tuple(self.rows):
            if outdated and outdated in {row.notice.text, row.notice.topic}:
                self._remove(row)
