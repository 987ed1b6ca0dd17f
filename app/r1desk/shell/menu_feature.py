"""The dialogs of the window's menu, and the appearance that the settings change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import log_dir
from r1desk.chat.feature import PROMPTS_FOLDER
from r1desk.chat.text.text_style import ReadingWidth, set_reading_width
from r1desk.features import Feature, Services
from r1desk.models.feature import ModelsFeature
from r1desk.shell.about import about, shortcuts
from r1desk.shell.main_window import MainWindow
from r1desk.shell.settings_dialog import TEXT_SIZES_PT, SettingsDialog
from r1desk.theme import ThemeChoice, apply_theme


class MenuFeature(Feature):
    """Opens the dialogs, and puts theme, text size and reading width in force. Main thread."""

    def __init__(
        self,
        services: Services,
        models: ModelsFeature,
        set_language: Callable[[str | None], None],
    ) -> None:
        super().__init__()
        self._services, self._models, self._set_language = services, models, set_language
        self._window: MainWindow | None = None
        self._system_font = QApplication.font()
        self._apply_text_size()  # the theme was at the start
        set_reading_width(ReadingWidth(services.preferences.reading_width))

    def attach(self, window: MainWindow) -> None:
        """Open the dialogs above this window."""
        self._window = window
        window.settings_action.triggered.connect(self._on_settings)
        window.doctor_action.triggered.connect(self._on_doctor)
        window.shortcuts_action.triggered.connect(self._on_shortcuts)
        window.about_action.triggered.connect(self._on_about)
        window.text_size_changed.connect(self.step_text_size)

    def detach(self) -> None:
        """Let go of the window."""
        self._window = None

    @Slot()
    def _on_about(self) -> None:
        about(self._window, self._services.engine.engine_name).open()

    @Slot()
    def _on_shortcuts(self) -> None:
        shortcuts(self._window).open()

    @Slot()
    def _on_doctor(self) -> None:
        from r1desk.shell.doctor_page import DoctorPage  # noqa: PLC0415 - not at start

        DoctorPage(self._window).open()

    @Slot()
    def _on_settings(self) -> None:
        p, profile = self._services.preferences, self._services.profile
        dialog = SettingsDialog(
            self._window,
            language=p.language,
            theme=p.theme,
            text_size_pt=p.text_size_pt,
            reading_width=p.reading_width,
            unload_after_min=p.unload_after_min,
            folders={
                tr("Models"): user_models_dir(),
                tr("Conversations and settings"): profile,
                tr("Chats ready on disk"): profile / PROMPTS_FOLDER,
                tr("Logs"): log_dir(),
            },
        )
        dialog.language_chosen.connect(self._set_language)
        dialog.theme_chosen.connect(self.set_theme)
        dialog.text_size_chosen.connect(self.set_text_size)
        dialog.reading_width_chosen.connect(self.set_reading_width)
        dialog.unload_after_chosen.connect(self._models.unload_after)

        def use_folder(folder: Path | None) -> None:
            answer = self._models.choose_folder(folder)
            answer.done.connect(dialog.show_models_folder)
            answer.failed.connect(dialog.show_folder_refused)

        dialog.models_folder_chosen.connect(use_folder)
        dialog.open()

    # ---- appearance: every change is in force at once

    @Slot(str)
    def set_theme(self, choice: str) -> None:
        """Use the theme of this `ThemeChoice`."""
        self._services.preferences.theme = choice
        self._apply_theme()
        self._services.save_preferences()

    @Slot(int)
    def step_text_size(self, step: int) -> None:
        """Make the text larger or smaller by so many points; 0 is the system's size."""
        least, most = TEXT_SIZES_PT
        present = self._services.preferences.text_size_pt or self._system_font.pointSize()
        self.set_text_size(max(least, min(most, present + step)) if step else 0)

    @Slot(int)
    def set_text_size(self, points: int) -> None:
        """Use this text size; 0 is the system's."""
        self._services.preferences.text_size_pt = points
        self._apply_text_size()
        self._apply_theme()  # sizes in the style sheet follow the text
        self._services.save_preferences()

    @Slot(str)
    def set_reading_width(self, width: str) -> None:
        """Use this `ReadingWidth`."""
        self._services.preferences.reading_width = ReadingWidth(width).value
        set_reading_width(ReadingWidth(width))
        if self._window is not None:
            self._window.lay_out_again()
        self._services.save_preferences()

    def _apply_text_size(self) -> None:
        font = QGuiApplication.font()
        font.setPointSize(self._services.preferences.text_size_pt or self._system_font.pointSize())
        QApplication.setFont(font)

    def _apply_theme(self) -> None:
        application = QApplication.instance()
        assert isinstance(application, QApplication)  # noqa: S101 - for the type checker
        apply_theme(application, ThemeChoice(self._services.preferences.theme))
