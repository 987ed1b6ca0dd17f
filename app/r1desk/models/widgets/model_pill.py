"""A pill in the window's header: which model answers, whether it is ready, and how fast it is.

And the menu of the models at hand, with fit and speed; the current one is ticked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolButton

from deepseek_r1.core.i18n import N_, tr
from r1desk.theme import explain, icon, set_role
from r1desk.widgets.text_label import call_with, open_menu_by

_DOT_PX = 10
_MAX_NAME_EMS = 16


@dataclass(frozen=True, slots=True)
class RecentModel:
    """A model that can be loaded with one click, unless its file is missing."""

    path: Path
    title: str  # the name and type in the file, once it was read
    fit: str = ""  # empty until the file was read
    missing: bool = False
    current: bool = False  # it is loaded, or on its way
    thinks: bool = True  # or it is not known
    name: str = ""  # short, and no other one's


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
        self.models: Sequence[RecentModel] = ()  # the menu has them when it is opened next
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

    def _fill_menu(self) -> None:
        menu = self.menu()
        menu.clear()
        menu.setToolTipsVisible(True)
        for model in self.models:
            note = tr("the file is missing") if model.missing else model.fit
            text = "\t".join(filter(None, (model.name.replace("&", "&&"), note)))
            action = QAction(text, menu, checkable=True, checked=model.current)
            action.setToolTip(str(model.path))
            action.setEnabled(not model.missing)
            menu.addAction(action)
            if model.current:  # it stays loaded, and ticked
                call_with(action.triggered, action.setChecked, True)
            else:
                call_with(action.triggered, self.model_chosen.emit, model.path)
        menu.addSeparator()
        menu.addAction(tr("Choose a model…"), self.choose_requested.emit)
