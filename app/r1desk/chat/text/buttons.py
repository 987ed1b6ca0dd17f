"""The small buttons of the chat."""

from functools import partial

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.theme import set_role
from r1desk.theme.icons import icon

BUTTON_INSET_EM = 0.3  # a flat button's padding: moved out so that its icon lines up with text
_COPIED_MS = 1_500


def icon_button(name: str, label: str, parent: QWidget) -> QToolButton:
    """A flat button with an icon; `label` is its tooltip and its name for screen readers."""
    button = QToolButton(parent)
    side = round(parent.fontMetrics().height() * 0.95)
    button.setIcon(icon(name, "text_dim"))
    button.setIconSize(QSize(side, side))
    button.setAutoRaise(True)
    button.setToolTip(label)
    button.setAccessibleName(label)
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    return button


def text_button(name: str, text: str, parent: QWidget) -> QToolButton:
    """A flat button with an icon and words."""
    button = icon_button(name, text, parent)
    button.setText(text)
    button.setToolTip("")
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button


def copy_by(button: QToolButton, text: str) -> None:
    """Copy a text, which the button that was clicked shows for a moment."""
    QGuiApplication.clipboard().setText(fit.clipped(text))
    button.setIcon(icon("check", "success"))
    button.setToolTip(tr("Copied"))
    QTimer.singleShot(_COPIED_MS, button, partial(_rest, button))


def _rest(button: QToolButton) -> None:
    button.setIcon(icon("copy", "text_dim"))
    button.setToolTip(button.accessibleName())


class RoundButton(QToolButton):
    """A disc with an icon, filled with the accent by the style sheet."""

    def __init__(self, name: str, label: str, parent: QWidget) -> None:
        super().__init__(parent)
        set_role(self, "round")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.set_action(name, label)

    def set_action(self, name: str, label: str) -> None:
        """Show another icon, and say what the button does now."""
        self.setIcon(icon(name, "accent_text"))
        self.setToolTip(label)
        self.setAccessibleName(label)

    def sizeHint(self) -> QSize:
        """Large enough to be hit."""
        side = round(self.fontMetrics().height() * 1.9)
        return QSize(side, side)

    minimumSizeHint = sizeHint

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A larger radius than half of the disc would be none."""
        super().resizeEvent(event)
        self.setStyleSheet(f"border-radius: {self.height() // 2 - 2}px")
