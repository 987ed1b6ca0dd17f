"""Connects the downloads with the widgets that show them: the window's list."""

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QMessageBox

from deepseek_r1.catalogue.download_spec import other_source
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from r1desk.chat.answers.controller import ChatController
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.models.controller import ModelController
from r1desk.models.downloads import Download, Downloads
from r1desk.models.presenter import ModelsWindow
from r1desk.models.widgets.download_list import DownloadAction
from r1desk.widgets.bounded_dialog import ask


class DownloadPresenter(Presenter):
    """Shows the downloads, carries out their buttons, and loads a model that was waited for."""

    def __init__(
        self,
        window: ModelsWindow,
        downloads: Downloads,
        models: ModelController,
        chat: ChatController,
        engine: EngineBridge,
    ) -> None:
        super().__init__(window)
        self._window, self._list = window, window.downloads
        self._downloads, self._models = downloads, models
        self._chat, self._engine = chat, engine
        self._list.requested.connect(self._on_requested)
        downloads.changed.connect(self._on_changed)
        downloads.finished.connect(self._on_finished)
        self._on_changed()

    @Slot(object, str)
    def _on_requested(self, action: DownloadAction, file: str) -> None:
        {
            DownloadAction.LOAD: self._load,
            DownloadAction.PAUSE: self._downloads.pause,
            DownloadAction.RESUME: self._downloads.resume,
            DownloadAction.OTHER_SOURCE: self._download_from_other,
            DownloadAction.DELETE: self._ask_to_delete,
            DownloadAction.DISMISS: self._downloads.dismiss,
        }[action](file)

    @Slot()
    def _on_changed(self) -> None:
        self._list.show_downloads(self._downloads.items)

    def _find(self, file: str) -> Download | None:
        return next((each for each in self._downloads.items if each.spec.file == file), None)

    def _load(self, file: str) -> None:
        download = self._find(file)
        if download is not None and download.path is not None:
            self._models.choose(download.path)
            self._downloads.dismiss(file)

    @Slot(object)
    def _on_finished(self, download: Download) -> None:
        """Load a model that was requested for a chat, unless that would cut off an answer."""
        if download.load_after and not self._chat.busy and self._engine.comparison is None:
            self._load(download.spec.file)

    def _download_from_other(self, file: str) -> None:
        """Try the next host; the part that is here is used where the host's file is the same."""
        download = self._find(file)
        if download is not None and (other := other_source(download.spec)) is not None:
            _host, spec = other
            self._downloads.start(spec, load_after=download.load_after)

    def _ask_to_delete(self, file: str) -> None:
        """Ask first: hours of downloading must not be lost by one click."""
        download = self._find(file)
        done = download.part_bytes if download is not None else 0
        if not done:
            self._downloads.delete(file)
            return
        text = tr("Delete the {amount} already downloaded?", amount=format_size(done))
        role, delete = QMessageBox.ButtonRole.DestructiveRole, partial(self._downloads.delete, file)
        ask(self._window, text, tr("“Pause” keeps them."), (tr("Delete"), role, delete))
