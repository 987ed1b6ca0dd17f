"""Connects the list of model files with the model controller, the trash and the downloads."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QFile, QObject, Slot

from deepseek_r1.catalogue.checksums import forget
from deepseek_r1.catalogue.installed import resolved
from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import N_, tr
from r1desk.models.controller import ModelController
from r1desk.models.scan import FoundModel
from r1desk.models.widgets.files_page import FilesPage
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.file_manager import show_in_folder
from r1desk.widgets.notice_bar import Level, Notice


@dataclass(frozen=True, slots=True)
class Removal:
    """A model that was moved to the trash, or deleted for good: then nothing was moved."""

    name: str
    moved: tuple[tuple[Path, Path], ...] = ()  # each file's place before and in the trash
    links: tuple[tuple[Path, Path], ...] = ()  # each link to such a file and its target


class FileNotRemoved(R1Error):
    """A file was not moved to the trash, deleted or moved back; what was moved before is back."""

    what = N_("{name} could not be deleted or restored. The system reports: {detail}.")


class PlaceTaken(R1Error):
    """Another file is where the one in the trash was."""

    what = N_("{path} is there again; the file in the trash stays there.")


def move_to_trash(found: FoundModel) -> Removal:
    """Move a model's files to the trash; the files that links lead to, with the links."""
    name, files = found.installed.name, found.files
    moved: list[tuple[Path, Path]] = []
    links = tuple((file, file.resolve()) for file in files if file.is_symlink())
    try:
        for file in files:
            place = file.resolve()
            moved.append((place, _move_to_trash(place)))
        for link, _target in links:
            link.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to report
            _put_back(moved, links)
        raise _not_removed(name, error) from error
    return Removal(name, tuple(moved), links)


def delete_files(found: FoundModel) -> Removal:
    """Delete a model's files, links and what they lead to, for good."""
    try:
        for file in found.files:
            target = file.resolve()
            file.unlink()
            if target != file:
                target.unlink(missing_ok=True)
            forget(file)
    except OSError as error:
        raise _not_removed(found.installed.name, error) from error
    return Removal(found.installed.name)


def restore_files(removal: Removal) -> Removal:
    """Move the files of `removal` back from the trash."""
    taken = next((place for place, _ in removal.moved if place.exists()), None)
    if taken is not None:
        raise PlaceTaken(path=str(taken))
    try:
        _put_back(removal.moved, removal.links)
    except OSError as error:
        raise _not_removed(removal.name, error) from error
    return removal


def _put_back(moved: Sequence[tuple[Path, Path]], links: Sequence[tuple[Path, Path]]) -> None:
    """Raises OSError where a file is no longer in the trash."""
    for place, in_trash in moved:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(in_trash, place)
        info = in_trash.parent.parent / "info" / f"{in_trash.name}.trashinfo"
        info.unlink(missing_ok=True)  # freedesktop.org's note of the place before
    for link, target in links:
        if not link.is_symlink():
            link.symlink_to(target)


def _move_to_trash(path: Path) -> Path:
    """Returns the place in the trash. Raises OSError where the drive has no trash."""
    file = QFile(str(path))
    if not file.moveToTrash() or not file.fileName():
        raise OSError(tr("there is no trash for this drive"))
    return Path(file.fileName())


def _not_removed(name: str, error: OSError) -> FileNotRemoved:
    log.models.warning("not moved or deleted: %s", error)
    return FileNotRemoved(name=name, detail=error.strerror or str(error))


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

    @Slot()
    def _show_present(self) -> None:
        chosen, loaded = self._models.path, self._models.loaded_path
        self._page.show_present(chosen and resolved(chosen), loaded and resolved(loaded))

    @Slot(object)
    def _on_trash(self, found: FoundModel) -> None:
        self._carry_out(partial(move_to_trash, found), self._on_removed)

    @Slot(object)
    def _on_delete(self, found: FoundModel) -> None:
        self._carry_out(partial(delete_files, found), self._on_removed)

    def _carry_out(self, work: Callable[[], Removal], on_done: Callable[[Removal], None]) -> None:
        answer = ask_in_background(work)
        answer.done.connect(on_done)
        answer.failed.connect(self._on_failed)

    @Slot(object)
    def _on_removed(self, removal: Removal) -> None:
        self._scan_again()
        if not removal.moved:
            self._notify(Notice(tr("{name} was deleted.", name=removal.name), Level.INFO))
            return
        text = tr("{name} is in the trash.", name=removal.name)
        undo = partial(self._carry_out, partial(restore_files, removal), self._on_restored)
        # A warning stays until it is answered or closed.
        self._notify(Notice(text, Level.WARNING, {tr("Undo"): undo}))

    @Slot(object)
    def _on_restored(self, removal: Removal) -> None:
        self._scan_again()
        self._notify(Notice(tr("{name} is back.", name=removal.name), Level.INFO))

    @Slot(object)
    def _on_failed(self, report: ErrorReport) -> None:
        self._scan_again()
        self._notify(Notice(report.text()))

    def _notify(self, notice: Notice) -> None:
        self._page.notices.show_notice(notice)
