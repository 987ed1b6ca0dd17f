"""Moves model files to the system's trash and back, or deletes them, in a thread of its own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QFile, QObject, Signal

from deepseek_r1.catalogue.checksums import forget
from deepseek_r1.core import log
from deepseek_r1.core.i18n import tr
from r1desk.platform.background_thread import in_background


@dataclass(frozen=True, slots=True)
class Removal:
    """A model that was moved to the trash or deleted.

    `moved` has each file's place before and in the trash; empty where it was deleted for good.
    `links` has each link to such a file and its target.
    """

    name: str
    moved: tuple[tuple[Path, Path], ...] = ()
    links: tuple[tuple[Path, Path], ...] = ()

    @property
    def can_restore(self) -> bool:
        """True where the files are in the trash and their places there are known."""
        return bool(self.moved)


class FileRemoval(QObject):
    """Needs no parent. All signals are emitted in the thread that did the work.

    Signals:
        removed: a Removal.
        restored: the Removal that was undone.
        failed: the reason as text; what was moved before has been moved back.
    """

    removed = Signal(object)
    restored = Signal(object)
    failed = Signal(str)

    def to_trash(self, name: str, files: Sequence[Path]) -> None:
        """Move a model's files to the trash; the files that links lead to, with the links."""
        in_background(self, partial(self._to_trash, name, tuple(files)))

    def delete(self, name: str, files: Sequence[Path]) -> None:
        """Delete a model's files, links and what they lead to, for good."""
        in_background(self, partial(self._delete, name, tuple(files)))

    def restore(self, removal: Removal) -> None:
        """Move the files of `removal` back from the trash."""
        in_background(self, partial(self._restore, removal))

    def _to_trash(self, name: str, files: tuple[Path, ...]) -> None:
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
            log.models.warning("not moved to the trash: %s", error)
            self.failed.emit(_reason(name, error))
            return
        self.removed.emit(Removal(name, tuple(moved), links))

    def _delete(self, name: str, files: tuple[Path, ...]) -> None:
        try:
            for file in files:
                target = file.resolve()
                file.unlink()
                if target != file:
                    target.unlink(missing_ok=True)
                forget(file)
        except OSError as error:
            log.models.warning("not deleted: %s", error)
            self.failed.emit(_reason(name, error))
            return
        self.removed.emit(Removal(name))

    def _restore(self, removal: Removal) -> None:
        taken = next((place for place, _ in removal.moved if place.exists()), None)
        if taken is not None:
            self.failed.emit(
                tr("{path} is there again; the file in the trash stays there.", path=str(taken))
            )
            return
        try:
            _put_back(removal.moved, removal.links)
        except OSError as error:
            log.models.warning("not restored: %s", error)
            self.failed.emit(_reason(removal.name, error))
            return
        self.restored.emit(removal)


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


def _reason(name: str, error: OSError) -> str:
    return tr(
        "{name} could not be deleted or restored. The system reports: {detail}.",
        name=name,
        detail=error.strerror or str(error),
    )
