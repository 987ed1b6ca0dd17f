"""The small buttons of the chat."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QToolButton, QWidget

from r1desk.theme.icons import icon


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
