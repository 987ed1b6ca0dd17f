"""The content of a scroll area: a column whose texts wrap."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QWidget


class ScrolledColumn(QWidget):
    """As tall as its texts are at its width, so that none of them is cut off.

    Qt's own least height adds up the lines that each text would have at another width.
    """

    def minimumSizeHint(self) -> QSize:
        least = super().minimumSizeHint()
        height = self.heightForWidth(max(self.width(), least.width()))
        return QSize(least.width(), height) if height >= 0 else least  # -1: no text wraps
