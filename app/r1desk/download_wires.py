"""The wires between the downloads and what shows them: the window's strip and the chooser."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QMessageBox

from deepseek_r1.core.words import tr
from r1desk.chat_controller import ChatController
from r1desk.downloads import Download, Downloads, State
from r1desk.library.chooser import ModelChooser
from r1desk.library.download_list import DownloadList
from r1desk.library.words import size_words
from r1desk.main_window import MainWindow
from r1desk.model_controller import ModelController
from r1desk.model_wires import ModelWires

_DELETED_UNASKED_BYTES = 16_000_000


class DownloadWires(QObject):
    """Shows the downloads, carries out what is asked of them, loads what was waited for."""

    def __init__(
        self,
        window: MainWindow,
        downloads: Downloads,
        models: ModelController,
        model_wires: ModelWires,
        chat: ChatController,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._downloads = downloads
        self._models = models
        self._chat = chat
        self._chooser: ModelChooser | None = None
        self._connect(window.downloads)
        model_wires.chooser_opened.connect(self._on_chooser)
        downloads.changed.connect(self._on_changed)
        downloads.finished.connect(self._on_finished)
        self._on_changed()

    def close(self) -> None:
        """Disconnect before the window goes."""
        self._downloads.changed.disconnect(self._on_changed)
        self._downloads.finished.disconnect(self._on_finished)
        self.deleteLater()

    def _connect(self, rows: DownloadList) -> None:
        rows.pause_requested.connect(self._downloads.pause)
        rows.resume_requested.connect(self._downloads.resume)
        rows.cancel_requested.connect(self._on_cancel)
        rows.load_requested.connect(self._on_load)

    @Slot(object)
    def _on_chooser(self, chooser: ModelChooser) -> None:
        self._chooser = chooser
        self._connect(chooser.catalogue.downloads)
        chooser.catalogue.download_requested.connect(self._downloads.start)
        chooser.finished.connect(self._on_chooser_closed)
        self._on_changed()

    @Slot()
    def _on_chooser_closed(self) -> None:
        self._chooser = None

    @Slot()
    def _on_changed(self) -> None:
        self._window.downloads.show_downloads(self._downloads.items)
        if self._chooser is not None:
            self._chooser.catalogue.show_downloads(self._downloads.items)

    def _find(self, file: str) -> Download | None:
        return next((each for each in self._downloads.items if each.order.file == file), None)

    @Slot(str)
    def _on_load(self, file: str) -> None:
        download = self._find(file)
        if download is not None and download.path is not None:
            self._models.choose(download.path)
            self._downloads.cancel(file)
            if self._chooser is not None:
                self._chooser.accept()

    @Slot(object)
    def _on_finished(self, download: Download) -> None:
        """Load what was downloaded to be talked to, unless that would break off an answer."""
        if download.load_after and not self._chat.busy:
            self._on_load(download.order.file)

    @Slot(str)
    def _on_cancel(self, file: str) -> None:
        """Hours of downloading are not thrown away by one wrong click."""
        download = self._find(file)
        if download is None:
            return
        done = download.progress.done_bytes
        if download.state is State.DONE or done <= _DELETED_UNASKED_BYTES:
            self._downloads.cancel(file)
            return
        box = QMessageBox(self._chooser or self._window)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setText(tr("Delete the {amount} that have come?", amount=size_words(done)))
        box.setInformativeText(tr("“Pause” keeps them."))
        delete = box.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        delete.clicked.connect(lambda: self._downloads.cancel(file))
        box.finished.connect(box.deleteLater)
        box.open()
