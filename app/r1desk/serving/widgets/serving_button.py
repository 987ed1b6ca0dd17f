"""The button in the header while the server is on."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QToolButton

from deepseek_r1.core.i18n import tr
from r1desk.serving.serving_state import ServingState
from r1desk.theme.icons import icon


class ServingButton(QToolButton):
    """Shows that other programs can use the model; opens the dialog of the server."""

    def __init__(self) -> None:
        super().__init__(autoRaise=True)
        self.setIcon(icon("link", "accent"))
        self.setIconSize(QSize(18, 18))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        self.hide()

    def show_state(self, state: ServingState) -> None:
        """Show this state; nothing while the server is off."""
        self.setVisible(state.wanted)
        running = sum(client.running for client in state.clients)
        text = tr("Other programs can use the model at {address}", address=state.address or "…")
        if running:
            text += tr(", being answered: {n}", n=running)
        self.setToolTip(text)
        self.setAccessibleName(text)
