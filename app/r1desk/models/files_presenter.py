"""Connects the list of model files with the model controller, the trash and the downloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, Slot

from deepseek_r1.catalogue.installed import resolved
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from r1desk.models.controller import ModelController
from r1desk.models.disk_space import free_models_bytes
from r1desk.models.file_facts import PresentModel
from r1desk.models.file_removal import Removal, delete_files, move_to_trash, restore_files
from r1desk.models.scan import FoundModel
from r1desk.models.widgets.files_page import FilesPage
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.file_manager import show_in_folder
from r1desk.widgets.notice_bar import Level, Notice


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
        page.show_requested.connect(show_in_folder)
        page.unload_requested.connect(models.unload)
        page.trash_requested.connect(self._on_trash)
        page.delete_requested.connect(self._on_delete)
        for signal in (models.loaded, models.load_failed, models.unloaded, models.load_started):
            signal.connect(self._show_present)
        self._show_present()
        ask_in_background(free_models_bytes).done.connect(page.show_free_space)

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
        work = partial(move_to_trash, found.installed.name, found.files)
        self._carry_out(work, self._on_removed)

    @Slot(object)
    def _on_delete(self, found: FoundModel) -> None:
        work = partial(delete_files, found.installed.name, found.files)
        self._carry_out(work, self._on_removed)

    def _carry_out(self, work: Callable[[], Removal], on_done: Callable[[Removal], None]) -> None:
        answer = ask_in_background(work)
        answer.done.connect(on_done)
        answer.failed.connect(self._on_failed)

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
                on_action=partial(
                    self._carry_out, partial(restore_files, removal), self._on_restored
                ),
            )
        )

    @Slot(object)
    def _on_restored(self, removal: Removal) -> None:
        self._look_again()
        self._notify(Notice(tr("{name} is back.", name=removal.name), Level.INFO))

    @Slot(object)
    def _on_failed(self, report: ErrorReport) -> None:
        self._look_again()
        self._notify(Notice(report.text()))

    def _look_again(self) -> None:
        self._scan_again()
        ask_in_background(free_models_bytes).done.connect(self._page.show_free_space)

    def _notify(self, notice: Notice) -> None:
        self._page.notices.show_notice(notice)
