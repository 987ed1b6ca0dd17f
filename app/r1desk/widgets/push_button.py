"""Makes the push buttons of dialogs."""

from __future__ import annotations

from PySide6.QtWidgets import QPushButton


def push_button(text: str, slot: object) -> QPushButton:
    """A button that is connected to `slot`, and that Enter in a field beside it does not press."""
    button = QPushButton(text, autoDefault=False)
    button.clicked.connect(slot)
    return button
