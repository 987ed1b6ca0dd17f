"""The place for messages at the bottom of the panel."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from deepseek_r1.core.i18n import tr
from r1desk.theme import set_role
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.text_label import text_label

_LINES = 2


class PanelMessage(QFrame):
    """One text and the buttons that belong to it, always in the same place and visible.

    It keeps its height without a text, so that no control moves when one appears; in a low panel,
    where that height would be a third of the panel, it takes what it needs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._retains_height = True
        set_role(self, "bar")
        self.text = text_label("", "dim")
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.apply_button = QPushButton(tr("Apply and reload"))
        set_role(self.apply_button, "primary")
        self.advice_button = QPushButton(tr("Use these settings"))
        self.undo_button = QPushButton(tr("Undo"))
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 8, 14, 10)
        column.setSpacing(6)
        column.addWidget(self.text, 1)
        buttons = put_inside(column, QHBoxLayout())
        buttons.setSpacing(8)
        buttons.addWidget(self.advice_button, 1)
        buttons.addWidget(self.apply_button, 1)
        buttons.addWidget(self.undo_button)
        self.show_buttons(pending=False, advice=False)
        self._reserve()

    def set_retain_height(self, retained: bool) -> None:
        """Retain the height without a text and buttons, or take what they need."""
        if retained != self._retains_height:
            self._retains_height = retained
            self._reserve()

    def show_text(self, text: str, role: str = "dim") -> None:
        """Show `text` in the colour of `role`."""
        if text != self.text.text():
            self.text.setText(text)
        set_role(self.text, role)

    def show_buttons(self, *, pending: bool, advice: bool) -> None:
        """Show the buttons for settings that wait for a reload, and for advice."""
        self.apply_button.setVisible(pending and not advice)
        self.undo_button.setVisible(pending)
        self.advice_button.setVisible(advice)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._reserve()

    def _reserve(self) -> None:
        lines = _LINES if self._retains_height else 1
        self.text.setMinimumHeight(lines * self.text.fontMetrics().lineSpacing() + 2)
        policy = self.undo_button.sizePolicy()
        policy.setRetainSizeWhenHidden(self._retains_height)  # the row of buttons keeps its height
        self.undo_button.setSizePolicy(policy)
