"""The catalogue's page on a computer whose speed and memory are known."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import MemoryReading
from r1desk.models import forecast_service as service
from r1desk.models.forecast import MachineSpeed
from r1desk.models.forecast_service import ForecastService
from r1desk.models.widgets.catalogue_page import CataloguePage
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.preferences import Preferences
from r1desk.shell.session import Session

SPEED = MachineSpeed(memory_mib_s=12_000.0, disk_mib_s=2_300.0, threads=2)


def open_chooser(qtbot: QtBot, session: Session, page: str) -> QWidget:
    """Open the dialog by its action and click the tab of `hub` or `files`."""
    session.window.models_action.trigger()
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


def shown_page(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> CataloguePage:
    """The page for a budget of 2 GiB on a computer with 22 GB free, once it has its cards."""
    monkeypatch.setattr(service, "machine_speed", lambda: SPEED)
    monkeypatch.setattr(service, "memory_reading", lambda: MemoryReading(32_000.0, 22_000.0))
    made = CataloguePage(ForecastService(Preferences(load=LoadSettings(memory_budget=2048))))
    qtbot.addWidget(made)
    made.resize(760, 560)
    made.show()
    qtbot.waitUntil(lambda: any("tok/s" in card.facts.text() for card in made.cards))
    return made
