"""Makes labels of plain text."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from r1desk.theme import set_role


def text_label(text: str, role: str = "") -> QLabel:
    """A plain-text label that wraps when it is a note."""
    result = QLabel(text)
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setWordWrap(role in {"dim", "danger", "warning"})
    if role:
        set_role(result, role)
    return result
