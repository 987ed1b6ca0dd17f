"""Connects the list of model files with the model controller, the trash and the downloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QFile, QObject, Slot

from deepseek_r1.catalogue.checksums import forget
from deepseek_r1.catalogue.installed import resolved
from deepseek_r1.core import log
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_, tr
from r1desk.models.controller import ModelController
from r1desk.models.scan import FoundModel
from r1desk.models.widgets.files_page import FilesPage
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, task
from r1desk.widgets.notice_bar import Level, Notice


class FileNotRemoved(R1Error):
    """A file was not moved to the trash or deleted."""

    what = N_("{name} could not be deleted. The system reports: {detail}.")


def move_to_trash(file: Path) -> None:
    """Move a file, and what a link leads to, to the trash."""
    if not QFile(str(file.resolve())).moveToTrash():
        raise OSError(tr("there is no trash for this drive"))
    if file.is_symlink():
        file.unlink()


def delete_file(file: Path) -> None:
    """Delete a file, a link and what it leads to, for good."""
    target = file.resolve()
    file.unlink()
    if target != file:
        target.unlink(missing_ok=True)
    forget(file)


def _removed(remove: Callable[[Path], None], text: str, found: FoundModel) -> str:
    """Remove a model's files; returns the sentence on it. Raises FileNotRemoved."""
    name = found.installed.name
    try:
        for file in found.files:
            remove(file)
    except OSError as error:
        log.models.warning("not moved or deleted: %s", error)
        raise FileNotRemoved(name=name, detail=error.strerror or str(error)) from error
    return tr(text, name=name)


class FilesPresenter(QObject):
    """Lives as long as the page, whose child it is."""

    def __init__(
        self, page: FilesPage, models: ModelController, scan_again: Callable[[], None]
    ) -> None:
        """`scan_again` looks for the files anew and shows them in the page."""
        super().__init__(page)
        self.tasks = Tasks(self)
        self._page = page
        self._models = models
        self._scan_again = scan_again
        page.unload_button.clicked.connect(models.unload)
        in_trash, deleted = N_("{name} is in the trash."), N_("{name} was deleted.")
        page.trash_requested.connect(partial(self._carry_out, move_to_trash, in_trash))
        page.delete_requested.connect(partial(self._carry_out, delete_file, deleted))
        for signal in (models.loaded, models.load_failed, models.unloaded, models.load_started):
            signal.connect(self._show_present)
        self._show_present()

    @Slot()
    def _show_present(self) -> None:
        chosen, loaded = self._models.path, self._models.loaded_path
        self._page.show_present(chosen and resolved(chosen), loaded and resolved(loaded))

    @task
    async def _carry_out(
        self, remove: Callable[[Path], None], text: str, found: FoundModel
    ) -> None:
        try:
            removed = await ask_in_background(partial(_removed, remove, text, found))
            notice = Notice(removed, Level.INFO)
        except FileNotRemoved as refused:
            notice = Notice(str(refused))
        self._scan_again()
        self._page.notices.show_notice(notice)
