"""Connects the list of model files with the model controller, the trash and the downloads."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Slot

from deepseek_r1.catalogue.installed import resolved
from deepseek_r1.core.i18n import tr
from r1desk.models.controller import ModelController
from r1desk.models.disk_space import FreeSpaceQuery
from r1desk.models.file_facts import PresentModel
from r1desk.models.file_removal import FileRemoval, Removal
from r1desk.models.scan import FoundModel
from r1desk.models.widgets.files_page import FilesPage
from r1desk.platform.file_manager import show_in_folder
from r1desk.widgets.notice_bar import Level, Notice

_QUEUED = Qt.ConnectionType.QueuedConnection


class FilesPresenter(QObject):
    """Lives as long as the page, whose child it is."""

    def __init__(
        self, page: FilesPage, models: ModelController, scan_again: Callable[[], None]
    ) -> None:
        """`scan_again` looks for the files anew and shows them in the page."""
        super().__init__(page)
        self._page = page
        self._models = models
        self._scan_again = scan_again
        self._removal = FileRemoval()  # no parent: its result may come after the page has gone
        self._removal.removed.connect(self._on_removed, _QUEUED)
        self._removal.restored.connect(self._on_restored, _QUEUED)
        self._removal.failed.connect(self._on_failed, _QUEUED)
        self._space = FreeSpaceQuery()
        self._space.found.connect(page.show_free_space, _QUEUED)
        page.show_requested.connect(show_in_folder)
        page.unload_requested.connect(models.unload)
        page.trash_requested.connect(self._on_trash)
        page.delete_requested.connect(self._on_delete)
        for signal in (models.loaded, models.load_failed, models.unloaded, models.load_started):
            signal.connect(self._show_present)
        self._show_present()
        self._space.start()

    @Slot()
    def _show_present(self) -> None:
        chosen, loaded = self._models.path, self._models.loaded_path
        self._page.show_present(
            PresentModel(
                resolved(chosen) if chosen is not None else None,
                resolved(loaded) if loaded is not None else None,
            )
        )

    @Slot(object)
    def _on_trash(self, found: FoundModel) -> None:
        self._removal.to_trash(found.installed.name, found.files)

    @Slot(object)
    def _on_delete(self, found: FoundModel) -> None:
        self._removal.delete(found.installed.name, found.files)

    @Slot(object)
    def _on_removed(self, removal: Removal) -> None:
        self._look_again()
        if not removal.can_restore:
            self._notify(Notice(tr("{name} was deleted.", name=removal.name), Level.INFO))
            return
        self._notify(
            Notice(
                tr("{name} is in the trash.", name=removal.name),
                Level.WARNING,  # stays until it is answered or closed
                action=tr("Undo"),
                on_action=lambda: self._removal.restore(removal),
            )
        )

    @Slot(object)
    def _on_restored(self, removal: Removal) -> None:
        self._look_again()
        self._notify(Notice(tr("{name} is back.", name=removal.name), Level.INFO))

    @Slot(str)
    def _on_failed(self, reason: str) -> None:
        self._look_again()
        self._notify(Notice(reason))

    def _look_again(self) -> None:
        self._scan_again()
        self._space.start()

    def _notify(self, notice: Notice) -> None:
        self._page.notices.show_notice(notice)
