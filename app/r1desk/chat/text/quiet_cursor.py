"""A cursor that stops blinking when nobody types: each blink paints, and wakes the processor."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtGui import QGuiApplication

STILL_AFTER_MS = 10_000  # as GTK does


class QuietCursor(QObject):
    """Lets the cursors of the application blink for a while after each `wake`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._hints = QGuiApplication.styleHints()
        self._flash_ms = _systems_flash_ms()
        self._timer = QTimer(self, singleShot=True, interval=STILL_AFTER_MS)
        self._timer.timeout.connect(self._on_still)

    def wake(self) -> None:
        """Somebody types or goes to the text."""
        if self._hints.cursorFlashTime() != self._flash_ms:
            self._hints.setCursorFlashTime(self._flash_ms)
        self._timer.start()

    @Slot()
    def _on_still(self) -> None:
        self._hints.setCursorFlashTime(0)


@cache
def _systems_flash_ms() -> int:
    """Asked once, before we change it: a window built anew must not take ours for the system's."""
    return QGuiApplication.styleHints().cursorFlashTime()
