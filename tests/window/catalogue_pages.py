"""The dialog for models and its pages, by mouse, and the speed of a computer."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.memory.forecast import MachineSpeed
from r1desk.models.widgets.catalogue_page import CataloguePage
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.shell.session import Session

SPEED = MachineSpeed(memory_mib_s=12_000.0, disk_mib_s=2_300.0, threads=2)


def open_chooser(qtbot: QtBot, session: Session, page: str) -> QWidget:
    """Open the dialog by its action and click the tab of `hub` or `files`."""
    session.window.models_action.trigger()
    qtbot.waitUntil(lambda: QApplication.activeModalWidget() is not None)
    chooser = session.window.findChild(ModelChooser)
    shown, bar = getattr(chooser, page), chooser.tabs.tabBar()
    place = bar.tabRect(chooser.tabs.indexOf(shown)).center()
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=place)
    assert shown.isVisible()
    return shown


def select(page: CataloguePage, model: str, quantisation: str) -> None:
    """Select a file among all files, which are shown."""
    (top,) = page.table.tree.findItems(model, Qt.MatchFlag.MatchExactly)
    rows = [top.child(at) for at in range(top.childCount())]
    page.table.tree.setCurrentItem(next(row for row in rows if row.text(0) == quantisation))
