"""A pill in the window's header: which model answers, whether it is ready, and how fast it is.

And the menu of the models at hand, with fit and speed; the current one is ticked.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolButton

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.memory.forecast import format_fit
from r1desk.theme import explain, icon, set_role
from r1desk.widgets.text_label import call_with, open_menu_by

_DOT_PX = 10
_MAX_NAME_EMS = 16


class PillState(StrEnum):
    """The state of the model, in words."""

    NONE = N_("No model is loaded")
    LOADING = N_("Loading the model")
    RESTING = N_("Unloaded. It reloads with your next message.")
    READY = N_("Ready")
    STREAMING = N_("Ready. Runs from the disk.")


# The colour of the dot, a field of `Tokens`.
_COLOURS = {
    PillState.NONE: "danger",
    PillState.LOADING: "text_dim",
    PillState.RESTING: "text_dim",
    PillState.READY: "success",
    PillState.STREAMING: "warning",
}


class ModelPill(QToolButton):
    """A button with the menu of recent models."""

    model_chosen = Signal(object)  # the Path of a recent model
    choose_requested = Signal()  # the user wants any other model

    def __init__(self) -> None:
        super().__init__()
        set_role(self, "pill")
        self.show_models((), {}, None)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(_DOT_PX, _DOT_PX))
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        open_menu_by(self, QMenu(self))
        self.menu().aboutToShow.connect(self._fill_menu)
        self.show_state("", PillState.NONE)

    def show_state(self, name: str, state: PillState, note: str = "", file: str = "") -> None:
        """Show the model's name, its state, a note (a speed, a percentage); its file in the tip."""
        shown = name or tr("No model")
        width = _MAX_NAME_EMS * self.fontMetrics().height()
        elided = self.fontMetrics().elidedText(shown, Qt.TextElideMode.ElideMiddle, width)
        text = f"{elided} · {note}" if note else elided
        self.setText(text.replace("&", "&&") + " ▾")
        explain(self, "\n".join(filter(None, (file or shown, tr(state)))))
        self.setAccessibleName(tr("Model: {name}", name=f"{shown} {note}".strip()))
        self.setAccessibleDescription(tr(state))
        self.setIcon(icon("dot", _COLOURS[state]))

    def show_models(
        self, files: Sequence[ModelFile], names: Mapping[Path, str], current: Path | None
    ) -> None:
        """Have these in the menu when it is opened next; `current` is loaded, or on its way."""
        self._files, self._names, self._current = files, names, current

    def _fill_menu(self) -> None:
        menu = self.menu()
        menu.clear()
        menu.setToolTipsVisible(True)
        for file in self._files:
            if file.path is not None:
                menu.addAction(self._entry(file, file.path))
        menu.addSeparator()
        menu.addAction(tr("Choose a model…"), self.choose_requested.emit)

    def _entry(self, file: ModelFile, path: Path) -> QAction:
        missing, current = file.error is not None, path == self._current
        fit = format_fit(file.forecast) if file.forecast is not None else ""
        note = tr("the file is missing") if missing else fit
        text = "\t".join(filter(None, (self._names[path].replace("&", "&&"), note)))
        action = QAction(text, self.menu(), checkable=True, checked=current)
        action.setToolTip(str(path))
        action.setEnabled(not missing)
        if current:  # it stays loaded, and ticked
            call_with(action.triggered, action.setChecked, True)
        else:
            call_with(action.triggered, self.model_chosen.emit, path)
        return action
