"""State and owner of a model file as texts, and whether it can be deleted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.app_folders import Owner
from deepseek_r1.catalogue.installed import InstalledModel, Origin
from deepseek_r1.core.i18n import tr


class FileState(StrEnum):
    """The present use of a file by the application."""

    NOT_USED = "not_used"
    CHOSEN = "chosen"  # loaded at the next start or message
    LOADED = "loaded"


@dataclass(frozen=True, slots=True)
class PresentModel:
    """The paths of the chosen and the loaded model, without links; None where there is none."""

    chosen: Path | None = None
    loaded: Path | None = None

    def state_of(self, path: Path) -> FileState:
        """The state of the file at `path`."""
        if path == self.loaded:
            return FileState.LOADED
        return FileState.CHOSEN if path == self.chosen else FileState.NOT_USED


def state_text(model: InstalledModel, state: FileState) -> str:
    """The state in a few words."""
    if state is FileState.LOADED:
        return tr("loaded")
    if model.error is not None:
        return tr("cannot be used")
    return tr("chosen, not loaded") if state is FileState.CHOSEN else ""


def owner_name(owner: Owner) -> str:
    """The name of another application, or of the folder of downloads."""
    return tr("Downloads folder") if owner is Owner.DOWNLOADS else owner.value


def owner_text(model: InstalledModel) -> str:
    """The name of the owner."""
    if model.owner is not None:
        return owner_name(model.owner)
    return {
        Origin.STARTER: tr("the installation"),
        Origin.FOLDER: "R1 Desk",
        Origin.OPENED: tr("a file you opened"),
        Origin.OTHER_APP: tr("another application"),
    }[model.origin]


def why_kept(model: InstalledModel, state: FileState) -> str:
    """The reason why a file cannot be deleted here; empty where it can."""
    if model.origin is Origin.STARTER:
        return tr("It came with the installation and goes with it.")
    if model.owner is Owner.OLLAMA:
        return tr(
            "Ollama keeps a list of its files. Delete it with: ollama rm {name}", name=model.name
        )
    if state is FileState.LOADED:
        return tr("It is loaded. Unload it before you delete it.")
    return ""


def deletion_note(model: InstalledModel) -> str:
    """The effect of deleting a file for its owner."""
    if model.owner is None and model.origin is Origin.FOLDER:
        return tr("It is in the models folder of R1 Desk.")
    if model.owner is Owner.DOWNLOADS or model.owner is None:
        return tr("It is not in the models folder of R1 Desk, which only uses it where it is.")
    return tr(
        "It belongs to {owner}, which will no longer have this model.", owner=model.owner.value
    )
