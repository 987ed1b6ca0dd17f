"""Labels and buttons with a line of plain text, and what a click on one calls."""

from collections.abc import Callable
from typing import ParamSpec

from PySide6.QtCore import QSize, Qt, SignalInstance
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QStyle,
    QStyleOptionButton,
    QToolButton,
    QWidget,
)

from r1desk.theme import icon, set_role
from r1desk.widgets.layouts import with_properties

P = ParamSpec("P")
Action = Callable[[], object]  # what a click calls


def call_with(
    signal: SignalInstance, method: Callable[P, object], *args: P.args, **kwargs: P.kwargs
) -> None:
    """Have `signal` call `method` with these values; what the signal itself carries is left out."""
    signal.connect(lambda: method(*args, **kwargs))


def text_label(text: str, role: str = "") -> QLabel:
    """A plain-text label that wraps when it is a note."""
    result = QLabel(text)
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setWordWrap(role in {"dim", "danger", "warning"})
    if role:
        set_role(result, role)
    return result


def selectable_label(text: str = "") -> QLabel:
    """A plain-text label that wraps, and whose text can be copied."""
    result = QLabel(text, wordWrap=True, textFormat=Qt.TextFormat.PlainText)
    result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return result


def push_button(text: str, slot: object) -> QPushButton:
    """A button that is connected to `slot`, and that Enter in a field beside it does not press."""
    button = QPushButton(text, autoDefault=False)
    button.clicked.connect(slot)
    return button


def tool_button(name: str, text: str, colour: str = "text") -> QToolButton:
    """A flat button with an icon; `text` is its tip, and its name for screen readers."""
    button, picture = QToolButton(autoRaise=True), icon(name, colour)
    return with_properties(button, icon=picture, toolTip=text, accessibleName=text)


def open_menu_by(button: QToolButton, menu: QMenu) -> None:
    """Let a click on the button open the menu, which gets the event that the pointer left it."""
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setMenu(menu)
    call_with(menu.aboutToHide, button.setAttribute, Qt.WidgetAttribute.WA_UnderMouse, False)


class NamedBox(QComboBox):
    """A box without a label of its own on the screen, which screen readers still call by its name.

    On Linux Qt gives them the value in its place, and what labels the box: a hidden label does.
    """

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self._label = QLabel(name, parent)  # beside the box, where Qt looks for it
        self._label.setBuddy(self)
        self._label.hide()


class ElidedLabel(QLabel):
    """Plain text in one line; a `QLabel` would cut it in the middle of a letter.

    Screen readers get all of the text.
    """

    def shown(self) -> str:
        """The part of the text that fits."""
        width = self.contentsRect().width()
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, width)

    def minimumSizeHint(self) -> QSize:
        return QSize(3 * self.fontMetrics().averageCharWidth(), super().minimumSizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.contentsRect(), self.alignment(), self.shown())
        painter.end()


class ElidedField(QLineEdit):
    """A text to be copied; where it is too long its middle is left out until it has the focus."""

    def shown(self) -> str:
        """The part of the text that fits."""
        width = self.contentsRect().width()
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, width)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.hasFocus() or (shown := self.shown()) == self.text():
            super().paintEvent(event)
            return
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.contentsRect(), Qt.AlignmentFlag.AlignVCenter, shown)
        painter.end()


class ElidedButton(QPushButton):
    """A button that leaves out the middle of a text that is too long; screen readers get all."""

    def initStyleOption(self, option: QStyleOptionButton) -> None:
        super().initStyleOption(option)
        contents = QStyle.SubElement.SE_PushButtonContents
        width = self.style().subElementRect(contents, option, self).width()
        middle = Qt.TextElideMode.ElideMiddle
        option.text = self.fontMetrics().elidedText(option.text, middle, width)
