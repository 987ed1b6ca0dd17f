"""A menu of the models at hand, with fit and speed; the current one is ticked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtWidgets import QMenu

from deepseek_r1.core.i18n import tr
from r1desk.models.recent_model import RecentModel


def fill_model_menu(
    menu: QMenu, models: Sequence[RecentModel], on_chosen: Callable[[Path], None]
) -> None:
    """Replace the menu's entries by these models."""
    menu.clear()
    menu.setToolTipsVisible(True)
    for model in models:
        action = menu.addAction(_text(model))
        action.setToolTip(str(model.path))
        action.setCheckable(True)
        action.setChecked(model.current)
        action.setEnabled(not model.missing)
        if model.current:  # it stays loaded, and ticked
            action.triggered.connect(lambda _checked, action=action: action.setChecked(True))
        else:
            action.triggered.connect(lambda _checked, path=model.path: on_chosen(path))


def _text(model: RecentModel) -> str:
    name = model.name.replace("&", "&&")
    note = tr("the file is missing") if model.missing else model.fit
    return f"{name}\t{note}" if note else name
