"""The first start: behind the window the computer is looked at, and one card makes an offer."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Slot

from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.paths import starter_model
from r1desk.chat_controller import ChatController
from r1desk.downloads import Downloads
from r1desk.library.file_dialog import ask_for_model
from r1desk.library.survey import Offer, Survey
from r1desk.main_window import MainWindow
from r1desk.model_controller import ModelController
from r1desk.preferences import Preferences

_MEASURE_AFTER_MS = 1000  # the engine has loaded; now the machine is quiet


class FirstStartWires(QObject):
    """Shows the card until one of its ways was taken, or another model was loaded."""

    def __init__(
        self,
        window: MainWindow,
        models: ModelController,
        downloads: Downloads,
        chat: ChatController,
        preferences: Preferences,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._models = models
        self._downloads = downloads
        self._chat = chat
        self._preferences = preferences
        self._offer: Offer | None = None
        self._measured = False
        p = preferences
        if p.welcomed or p.model_path is not None or p.recent_models:
            return
        card = window.chat.welcome.card
        card.download_requested.connect(self._on_download)
        card.starter_requested.connect(self._end)
        card.file_requested.connect(self._on_file)
        self._survey = Survey()  # no parent: it may outlive the window by a moment
        self._survey.found.connect(self._on_found)
        self._survey.measured.connect(card.show_speed)
        models.loaded.connect(self._on_loaded)
        self._measure_timer = QTimer(self, singleShot=True, interval=_MEASURE_AFTER_MS)
        self._measure_timer.timeout.connect(self._measure)
        QTimer.singleShot(0, self, self._look)  # after the window is shown

    def close(self) -> None:
        """Disconnect before the window goes."""
        self.deleteLater()

    @Slot()
    def _look(self) -> None:
        self._survey.look(self._preferences.load)

    @Slot(object)
    def _on_found(self, offer: Offer | None) -> None:
        if self._preferences.welcomed:
            return
        self._offer = offer
        self._window.chat.welcome.card.show_offer(offer)
        self._window.chat.welcome.show_card(True)
        if self._models.current is not None:
            self._measure_timer.start()

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        if Path(loaded.facts.path) != starter_model():
            self._end()
        elif self._offer is not None:
            self._measure_timer.start()

    @Slot()
    def _measure(self) -> None:
        """Read memory for a moment, but never beside an answer."""
        if self._offer is None or self._measured or self._preferences.welcomed:
            return
        if self._chat.busy or self._models.loading:
            self._measure_timer.start()
            return
        self._measured = True
        self._survey.measure(self._offer)

    @Slot(object)
    def _on_download(self, offer: Offer) -> None:
        self._downloads.start(offer.order, load_after=True)
        self._end()

    @Slot()
    def _on_file(self) -> None:
        dialog = ask_for_model(self._window)
        dialog.fileSelected.connect(self._on_file_selected)
        dialog.open()

    @Slot(str)
    def _on_file_selected(self, path: str) -> None:
        self._models.choose(Path(path))

    @Slot()
    def _end(self) -> None:
        """The card has done its work and does not come back."""
        if not self._preferences.welcomed:
            self._preferences.welcomed = True
            self._models.preferences_changed.emit()
        self._window.chat.welcome.show_card(False)
