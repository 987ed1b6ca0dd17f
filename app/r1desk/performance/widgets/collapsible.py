"""A heading that opens and closes what lies below it."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

from r1desk.theme import icon, set_role


class Collapsible(QWidget):
    """A flat button with a chevron and a body; closed unless `opened`."""

    def __init__(self, title: str, body: QWidget, opened: bool = False) -> None:
        super().__init__()
        self.body = body
        self.button = QPushButton(title)
        self.button.setCheckable(True)
        self.button.setAccessibleName(title)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        set_role(self.button, "fold")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(self.button)
        layout.addWidget(body)
        self.button.toggled.connect(self._on_toggled)
        self.button.setChecked(opened)
        self._on_toggled(opened)

    @Slot(bool)
    def _on_toggled(self, opened: bool) -> None:
        self.button.setIcon(icon("chevron-down" if opened else "chevron-right", "text_dim"))
        self.body.setVisible(opened)
