"""Downloads below the models of a page: as many lines as have a place there, the rest scrolls."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QFrame, QScrollArea

from r1desk.models.downloads import Download
from r1desk.models.widgets.download_list import DownloadList


class DownloadArea(QScrollArea):
    """Holds a DownloadList, and is hidden while that is empty."""

    def __init__(self, lines: int = 8) -> None:
        """`lines` of text are the greatest height."""
        super().__init__(widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        self.downloads = DownloadList()
        self.setWidget(self.downloads)
        self.setMaximumHeight(self.fontMetrics().height() * lines)
        self.hide()

    def show_downloads(self, downloads: Sequence[Download]) -> None:
        """Show these downloads."""
        self.downloads.show_downloads(downloads)
        self.setVisible(bool(downloads))
