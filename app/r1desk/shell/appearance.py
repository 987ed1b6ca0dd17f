"""Theme, text size and reading width of the application, as the preferences have them."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from r1desk.preferences import Preferences
from r1desk.shell.settings_dialog import TEXT_SIZES_PT
from r1desk.theme import ThemeChoice, apply_theme
from r1desk.theme.reading_width import ReadingWidth, set_reading_width


class Appearance(QObject):
    """Puts every change in force at once. Main thread.

    Signals:
        changed: the preferences are to be saved.
        reading_width_changed: what follows the reading width is to be laid out anew.
    """

    changed = Signal()
    reading_width_changed = Signal()

    def __init__(self, preferences: Preferences, parent: QObject) -> None:
        """Text size and reading width are in force after this; the theme is at the start."""
        super().__init__(parent)
        self._preferences = preferences
        self._system_font = QApplication.font()
        self._apply_text_size()
        set_reading_width(ReadingWidth(preferences.reading_width))

    @Slot(str)
    def set_theme(self, choice: str) -> None:
        """Use the theme of this `ThemeChoice`."""
        self._preferences.theme = choice
        self._apply_theme()
        self.changed.emit()

    @Slot(int)
    def step_text_size(self, step: int) -> None:
        """Make the text larger or smaller by so many points; 0 is the system's size."""
        least, most = TEXT_SIZES_PT
        present = self._preferences.text_size_pt or self._system_font.pointSize()
        self.set_text_size(max(least, min(most, present + step)) if step else 0)

    @Slot(int)
    def set_text_size(self, points: int) -> None:
        """Use this text size; 0 is the system's."""
        self._preferences.text_size_pt = points
        self._apply_text_size()
        self._apply_theme()  # sizes in the style sheet follow the text
        self.changed.emit()

    @Slot(str)
    def set_reading_width(self, width: str) -> None:
        """Use this `ReadingWidth`."""
        self._preferences.reading_width = ReadingWidth(width).value
        set_reading_width(ReadingWidth(width))
        self.reading_width_changed.emit()
        self.changed.emit()

    def _apply_text_size(self) -> None:
        font = QGuiApplication.font()
        font.setPointSize(self._preferences.text_size_pt or self._system_font.pointSize())
        QApplication.setFont(font)

    def _apply_theme(self) -> None:
        application = QApplication.instance()
        assert isinstance(application, QApplication)  # noqa: S101 - for the type checker
        apply_theme(application, ThemeChoice(self._preferences.theme))
