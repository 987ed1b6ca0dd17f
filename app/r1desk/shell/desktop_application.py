"""Qt's application object, which also receives the documents that macOS wants opened."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication


class DesktopApplication(QApplication):
    """Emits `open_requested` with a model's path.

    A model that is double-clicked in the Finder comes as an event, before or after the window
    opened; other systems pass it as an argument.
    """

    open_requested = Signal(Path)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QFileOpenEvent) and event.file():
            self.open_requested.emit(Path(event.file()))
            return True
        return super().event(event)
