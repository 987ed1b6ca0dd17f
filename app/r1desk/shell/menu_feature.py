"""The dialogs of the window's menu: settings, checks of this computer, shortcuts, about."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Slot

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import log_dir
from r1desk.chat.feature import PROMPTS_FOLDER
from r1desk.features import Feature, Services
from r1desk.models.feature import ModelsFeature
from r1desk.shell.about import about, shortcuts
from r1desk.shell.appearance import Appearance
from r1desk.shell.main_window import MainWindow
from r1desk.shell.settings_dialog import SettingsDialog


class MenuFeature(Feature):
    """Owns the appearance. Main thread."""

    def __init__(
        self,
        services: Services,
        models: ModelsFeature,
        set_language: Callable[[str | None], None],
    ) -> None:
        super().__init__()
        self._services, self._models, self._set_language = services, models, set_language
        self.appearance = Appearance(services.preferences, self)
        self.appearance.changed.connect(services.save_preferences)
        self._window: MainWindow | None = None

    def attach(self, window: MainWindow) -> None:
        """Open the dialogs above this window."""
        self._window = window
        window.settings_action.triggered.connect(self._on_settings)
        window.doctor_action.triggered.connect(self._on_doctor)
        window.shortcuts_action.triggered.connect(self._on_shortcuts)
        window.about_action.triggered.connect(self._on_about)
        window.text_size_changed.connect(self.appearance.step_text_size)
        self.appearance.reading_width_changed.connect(window.lay_out_again)

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
        p, profile, folder = self._services.preferences, self._services.profile, self._models.folder
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
        dialog.theme_chosen.connect(self.appearance.set_theme)
        dialog.text_size_chosen.connect(self.appearance.set_text_size)
        dialog.reading_width_chosen.connect(self.appearance.set_reading_width)
        dialog.unload_after_chosen.connect(self._models.unload_after)
        dialog.models_folder_chosen.connect(folder.choose)
        queued = Qt.ConnectionType.QueuedConnection
        folder.changed.connect(dialog.show_models_folder, queued)
        folder.refused.connect(dialog.show_folder_refused, queued)
        dialog.open()
