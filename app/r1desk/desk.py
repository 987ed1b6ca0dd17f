"""The running application: one window, its controllers, and the wires between them.

The window can be built anew (for another language) while the engine and the store go on.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineKeepsDying, ErrorReport
from deepseek_r1.core.paths import user_models_dir
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.core.words import tr, use_language
from r1desk import announcements
from r1desk import preferences as prefs
from r1desk.bridge import EngineBridge, StoreBridge
from r1desk.chat_controller import ChatController
from r1desk.chat_wires import ChatWires
from r1desk.conversation_list import ConversationList
from r1desk.dialogs.about import about, shortcuts
from r1desk.dialogs.doctor_page import DoctorPage
from r1desk.dialogs.notice_bar import Level, Notice
from r1desk.download_wires import DownloadWires
from r1desk.downloads import Downloads
from r1desk.first_start_wires import FirstStartWires
from r1desk.main_thread_gc import MainThreadCollector
from r1desk.main_window import MainWindow
from r1desk.model_controller import ModelController
from r1desk.model_wires import ModelWires
from r1desk.store import Opening, Profile, StoreThread
from r1desk.theme import ThemeChoice, apply_theme
from r1desk.vitals_wires import VitalsWires

SAVE_DELAY_MS = 400
TEXT_SIZES_PT = (8, 24)


class Desk(QObject):
    """Owns everything that lives as long as the application."""

    bug_found = Signal(str)  # from any thread

    def __init__(
        self,
        profile: Profile,
        store: StoreThread,
        stored: prefs.Preferences,
        damaged: Path | None,
        engine_command: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._collector = MainThreadCollector(self)
        self.preferences = stored
        self._profile = profile
        self.writable = profile.lock is not None
        self._opening = Opening()
        self._system_font = QApplication.font()
        self.engine = EngineBridge(self, engine_command)
        self.store = StoreBridge(store, self)
        self.models = ModelController(self.engine, stored)
        self.chat = ChatController(
            self.engine, self.store, lambda: self.models.name, self._sampling
        )
        self.conversations = ConversationList(self.store, self.chat)
        self.downloads = Downloads(user_models_dir(), self)
        self._save_timer = QTimer(self, singleShot=True, interval=SAVE_DELAY_MS)
        self._save_timer.timeout.connect(self._save_preferences)
        self._start_timer = QTimer(self, singleShot=True, interval=0)
        self._start_timer.timeout.connect(self._start_behind)
        self._apply_text_size()
        self._build_window()
        self.models.preferences_changed.connect(self._save_timer.start)
        self.models.load_failed.connect(self.show_error)
        self.chat.model_wanted.connect(self.models.ensure_loading)
        self.chat.failed.connect(self.show_error)
        self.chat.recovered.connect(self._on_recovered)
        self.chat.failed.connect(self._hold_open_while_unsaved)
        self.chat.unsaved.kept.connect(self._hold_open_while_unsaved)
        self.chat.recovered.connect(self._hold_open_while_unsaved)
        self.bug_found.connect(self._on_bug)
        self.store.opened.connect(self._on_store_opened)
        if damaged is not None:
            self._say(announcements.preferences_damaged(damaged))

    def _sampling(self) -> tuple[SamplingSettings, str]:
        return self.preferences.sampling, self.preferences.system_prompt

    # ---- the window -------------------------------------------------------------------------

    def _build_window(self) -> None:
        p = self.preferences
        self.window = MainWindow(p.theme, p.language)
        self.window.sidebar_action.setChecked(p.sidebar_visible)
        self.window.panel_action.setChecked(p.panel_visible)
        self.window.place(p.window_geometry.encode("ascii", "ignore"))
        model_wires = ModelWires(self.window, self.models, p)
        self.wires = (
            ChatWires(self.window, self.chat, self.models, self.engine),
            model_wires,
            VitalsWires(self.window, self.engine, self.models, self.chat),
            DownloadWires(self.window, self.downloads, self.models, model_wires, self.chat),
            FirstStartWires(self.window, self.models, self.downloads, self.chat, p),
        )
        self.conversations.attach(self.window)
        self.wires[0].set_view_only(self._why_view_only())
        self.window.theme_chosen.connect(self._on_theme)
        self.window.language_chosen.connect(self._on_language)
        self.window.text_size_changed.connect(self._on_text_size)
        self.window.panel.sampling_changed.connect(self._on_sampling)
        self.window.panel.system_prompt_changed.connect(self._on_system_prompt)
        self.window.about_requested.connect(self._on_about)
        self.window.shortcuts_requested.connect(self._on_shortcuts)
        self.window.doctor_requested.connect(self._on_doctor)
        self.window.closed.connect(self._on_closed)

    def show(self) -> None:
        """Show the window; the engine starts once it is on the screen."""
        self.window.show()
        self._start_timer.start()

    @Slot()
    def _start_behind(self) -> None:
        self.conversations.open_last()
        self.engine.start()
        self.models.ensure_loading()  # a quick user may have asked already
        self.downloads.recall()

    @Slot()
    def raise_window(self) -> None:
        """Bring the window to the front."""
        self.window.raise_to_front()

    def close(self) -> None:
        """Stop the engine and keep what is remembered. The owner closes the store's thread."""
        self._start_timer.stop()
        self._save_timer.stop()
        self.window.composer.flush_draft()
        for wire in self.wires:
            wire.close()
        self.chat.close()
        self.downloads.close()
        self.engine.stop()
        self.store.close()
        self._collector.close()
        self._save_preferences()

    def _rebuild_window(self) -> None:
        """A new window in place of the old, with the same conversation."""
        old = self.window
        old.composer.flush_draft()
        self._keep_layout()
        for wire in self.wires:
            wire.close()
        self.conversations.detach()
        self._build_window()
        self.window.show()
        old.closed.disconnect(self._on_closed)
        old.close()
        old.deleteLater()
        self.conversations.refresh()
        self.chat.reopen()

    # ---- wishes -----------------------------------------------------------------------------

    @Slot(str)
    def _on_theme(self, choice: str) -> None:
        self.preferences.theme = choice
        self._apply_theme()
        self._save_timer.start()

    def _apply_theme(self) -> None:
        apply_theme(_application(), ThemeChoice(self.preferences.theme))

    @Slot(object)
    def _on_language(self, code: str | None) -> None:
        from r1desk.application import speak_language  # noqa: PLC0415 - a cycle otherwise

        self.preferences.language = code
        use_language(code)
        speak_language(_application())
        self._save_timer.start()
        QTimer.singleShot(0, self._rebuild_window)  # after the menu that asked for it has closed

    @Slot(int)
    def _on_text_size(self, step: int) -> None:
        least, most = TEXT_SIZES_PT
        present = self.preferences.text_size_pt or self._system_font.pointSize()
        self.preferences.text_size_pt = max(least, min(most, present + step)) if step else 0
        self._apply_text_size()
        self._apply_theme()  # sizes in the style sheet follow the text
        self._save_timer.start()

    def _apply_text_size(self) -> None:
        font = QGuiApplication.font()
        font.setPointSize(self.preferences.text_size_pt or self._system_font.pointSize())
        QApplication.setFont(font)

    @Slot()
    def _on_about(self) -> None:
        about(self.window, self.engine.engine_name).open()

    @Slot()
    def _on_doctor(self) -> None:
        DoctorPage(self.window).open()

    @Slot()
    def _on_shortcuts(self) -> None:
        shortcuts(self.window).open()

    @Slot(object)
    def _on_sampling(self, sampling: SamplingSettings) -> None:
        self.preferences.sampling = sampling
        self._save_timer.start()

    @Slot(str)
    def _on_system_prompt(self, text: str) -> None:
        self.preferences.system_prompt = text
        self._save_timer.start()

    @Slot()
    def _on_closed(self) -> None:
        self._keep_layout()
        QApplication.quit()

    def _keep_layout(self) -> None:
        geometry = self.window.saveGeometry().data()
        self.preferences.window_geometry = base64.b64encode(geometry).decode("ascii")
        self.preferences.sidebar_visible = self.window.sidebar_action.isChecked()
        self.preferences.panel_visible = self.window.panel_action.isChecked()

    @Slot()
    def _save_preferences(self) -> None:
        if not self.writable:
            return  # said once, at the start
        try:
            prefs.save(self._profile.folder, self.preferences)
        except OSError as error:
            log.window.warning("preferences not saved: %s", error)
            self._say(announcements.preferences_not_saved(error))

    # ---- what must be said ------------------------------------------------------------------

    @Slot(ErrorReport)
    def show_error(self, report: ErrorReport) -> None:
        """Show an error of the user's world where it can be read and acted on."""
        action = {}
        if report.code == EngineKeepsDying.__name__:
            action = {"action": tr("Start engine"), "on_action": self._restart_engine}
        self._say(Notice(report.text(), Level.ERROR, **action))

    def _restart_engine(self) -> None:
        self.engine.restart()
        self.models.load_chosen()

    @Slot(str)
    def _on_bug(self, detail: str) -> None:
        self._say(announcements.unexpected(detail, self._profile.folder))

    @Slot(object)
    def _on_store_opened(self, opening: Opening) -> None:
        """One sentence at the start when the conversations are not as they should be."""
        self.writable = opening.writable
        self._opening = opening
        if not opening.writable:
            self.wires[0].set_view_only(self._why_view_only())
        if (notice := announcements.store_opened(opening, self._profile.folder)) is not None:
            self._say(notice)

    def _why_view_only(self) -> str:
        return announcements.view_only(self._opening, self._profile.folder)

    @Slot()
    def _hold_open_while_unsaved(self) -> None:
        """Closing would lose text that the disk refused: ask first."""
        text = tr("Some text could not be saved yet and would be lost.")
        self.window.hold_open(text if self.chat.unsaved.waiting else "")

    @Slot()
    def _on_recovered(self) -> None:
        self._say(announcements.saved_after_all())

    def _say(self, notice: Notice) -> None:
        self.window.notices.show_notice(notice)


def _application() -> QApplication:
    application = QApplication.instance()
    assert isinstance(application, QApplication)  # noqa: S101 - for the type checker
    return application
