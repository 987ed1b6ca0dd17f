"""The performance panel on an offscreen screen."""

import pytest
from PySide6.QtWidgets import QApplication

from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.theme import ThemeChoice, apply_theme


@pytest.fixture
def panel(qapp: QApplication, qtbot) -> PerformancePanel:
    apply_theme(qapp, ThemeChoice.LIGHT)
    panel = PerformancePanel(DocumentPane())
    qtbot.addWidget(panel)
    panel.resize(340, 700)
    panel.show()
    return panel
