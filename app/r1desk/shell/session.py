"""The running application: the services, the features, and the window that is shown.

The window can be built anew (for another language) while the engine and the store go on.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineKeepsDying, ErrorReport, ModelFileMissing
from deepseek_r1.core.heap import return_free_memory
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.units import use_gigabytes
from r1desk import preferences as prefs
from r1desk.chat.feature import ChatFeature
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.comparison.feature import ComparisonFeature
from r1desk.conversations.feature import ConversationsFeature
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Feature
from r1desk.models.controller import ModelController
from r1desk.models.feature import ModelsFeature
from r1desk.performance.feature import PerformanceFeature
from r1desk.performance.widgets.load_section import LoadSection
from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.platform.qt_application import MainThreadCollector, application, install_qt_translations
from r1desk.platform.tasks import cancel_everything
from r1desk.serving.feature import ServingFeature
from r1desk.shell import notices
from r1desk.shell.main_window import MainWindow
from r1desk.shell.menu_feature import MenuFeature
from r1desk.store import Opening, Profile, StoreThread
from r1desk.store.store_bridge import StoreBridge
from r1desk.theme.theme import find_theme
from r1desk.widgets.notice_bar import Level, Notice

SAVE_DELAY_MS = 400


class Session(QObject):
    """Owns the features for the lifetime of the application, and the present window."""

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
        use_gigabytes(True)
        self._collector = MainThreadCollector(self)
        self.profile = profile.folder
        self.preferences = stored
        self.writable = profile.lock is not None
        self._save_timer = QTimer(self, singleShot=True, interval=SAVE_DELAY_MS)
        self._save_timer.timeout.connect(self._write_preferences)
        self._start_timer = QTimer(self, singleShot=True, interval=0)
        self._start_timer.timeout.connect(self._start)
        self.engine = EngineBridge(self, engine_command)
        self.store = StoreBridge(store, self)
        self.models = ModelController(self.engine, stored)
        self._make_features()
        find_theme(application()).restyle(self._build_window)
        self.bug_found.connect(self._on_bug)
        self.store.opened.connect(self._on_store_opened)
        # The settings were refused too.
        self.chat.pending_writes.recovered.connect(self.save_preferences)
        if damaged is not None:
            self.notify(notices.preferences_damaged(damaged))

    def _make_features(self) -> None:
        chat = self.chat_feature = ChatFeature(self, self.models)
        models = self.models_feature = ModelsFeature(self, self.models, chat)
        conversations = self.conversations_feature = ConversationsFeature(self, chat)
        conversations.opened.connect(models.idle_unload.wake)
        performance = PerformanceFeature(self, chat, models)
        serving = ServingFeature(self, self.models)
        comparison = ComparisonFeature(self, self.models, chat, models.recent)
        menu = MenuFeature(self, models)
        self.features: list[Feature[MainWindow]] = [
            chat,
            models,
            conversations,
            comparison,
            performance,
            serving,
            menu,
        ]
        self.chat, self.chat_settings = chat.controller, chat.settings
        self.downloads, self.serving = models.downloads, serving.controller
        self.appearance = menu

    # ---- the window -------------------------------------------------------------------------

    def _build_window(self, window: MainWindow | None = None) -> None:
        self.window = window or MainWindow()
        self.window.restore_layout(self.preferences)
        for feature in self.features:
            feature.attach(self.window)
        self.window.closed.connect(self._on_closed)

    def show(self) -> None:
        """Show the window; the engine starts once it is on the screen."""
        self.window.show()
        self._start_timer.start()

    @Slot()
    def _start(self) -> None:
        self.engine.start()
        for feature in self.features:
            feature.start()

    @Slot()
    def raise_window(self) -> None:
        """Bring the window to the front."""
        self.window.raise_to_front()

    def close(self) -> None:
        """Stop the engine and keep what is remembered. The owner closes the store's thread."""
        self._start_timer.stop()
        self._save_timer.stop()
        for feature in self.features:
            feature.detach()
        for feature in self.features:
            feature.close()
        cancel_everything()
        self.engine.stop()
        self.store.close()
        self._collector.close()
        self._write_preferences()

    @Slot(object)
    def set_language(self, code: str | None) -> None:
        """Speak another language, or the system's for None, from the next turn of the loop on."""
        self.preferences.language = code
        use_language(code)
        install_qt_translations(application())
        self.save_preferences()
        # Not before the menu that asked for it has closed.
        find_theme(application()).restyle_in_turns("", self._replace_window())

    def _replace_window(self) -> Iterator[None]:
        """A new window in place of the old, with the same conversation, in turns."""
        panel = None
        if self.window.made_panel is not None:
            load = LoadSection()
            yield
            panel = PerformancePanel(DocumentPane(), load)
            yield
        window = MainWindow(panel)
        yield
        old = self.window
        self.window.keep_layout(self.preferences)
        for feature in self.features:
            feature.detach()
        self._build_window(window)
        for row in reversed(old.notices.rows):  # what they report goes on
            if row.notice.level != Level.INFO:
                self.notify(row.notice)
        self.window.setUpdatesEnabled(False)  # until it has its style
        self.window.show()
        old.closed.disconnect(self._on_closed)
        old.hold_open("")  # the new one asks
        old.close()
        self.conversations_feature.refresh()
        self.chat.reopen()
        yield
        # Its children go after this signal.
        old.destroyed.connect(lambda: QTimer.singleShot(0, return_free_memory))
        old.deleteLater()
        yield

    @Slot()
    def _on_closed(self) -> None:
        self.window.keep_layout(self.preferences)
        QApplication.quit()

    # ---- preferences ------------------------------------------------------------------------

    @Slot()
    def save_preferences(self) -> None:
        self._save_timer.start()

    @Slot()
    def _write_preferences(self) -> None:
        if not self.writable:
            return  # a notice at the start reported it
        try:
            prefs.save(self.profile, self.preferences)
        except OSError as error:
            log.window.warning("preferences not saved: %s", error)
            self.notify(notices.preferences_not_saved(error))
        else:
            self.withdraw(notices.PREFERENCES)

    # ---- notices ----------------------------------------------------------------------------

    @Slot(ErrorReport)
    def show_error(self, report: ErrorReport) -> None:
        """Show an error of the user's world where it can be read and acted on."""
        actions = {}
        if report.code == EngineKeepsDying.__name__:
            actions[tr("Start engine")] = self._restart_engine
        elif report.code == ModelFileMissing.__name__:
            actions[tr("Choose a model…")] = self._choose_model
        self.notify(Notice(report.text(), Level.ERROR, actions))

    def _choose_model(self) -> None:
        self.window.models_action.trigger()

    def _restart_engine(self) -> None:
        self.engine.restart()
        self.models.load_chosen()

    @Slot(str)
    def _on_bug(self, detail: str) -> None:
        self.notify(notices.unexpected(detail, self.profile))

    @Slot(object)
    def _on_store_opened(self, opening: Opening) -> None:
        """One sentence at the start when the conversations are not as they should be."""
        self.writable = opening.problem is None
        self.chat_feature.set_view_only(notices.view_only(opening, self.profile))
        if (notice := notices.store_opened(opening, self.profile)) is not None:
            self.notify(notice)

    def notify(self, notice: Notice) -> None:
        self.window.notices.show_notice(notice)

    def withdraw(self, topic: str) -> None:
        self.window.notices.withdraw(topic)
