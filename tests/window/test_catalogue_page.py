"""Choosing a model: what is recommended, and what can be done on which page."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1 import hardware
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from r1desk.library.catalogue_page import CataloguePage
from r1desk.library.chooser import PATH_ROLE, ModelChooser
from r1desk.library.survey import Survey


@pytest.mark.parametrize("memory_mib", [2_500.0, 64_000.0])
def test_in_a_container_both_go_by_the_containers_memory(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, memory_mib: float
) -> None:
    monkeypatch.setattr(hardware, "machine_memory_mib", lambda: memory_mib)
    settings = LoadSettings(memory_budget=16_000)
    survey = Survey()
    with qtbot.waitSignal(survey.found) as found:
        survey.look(settings)
    page = CataloguePage(settings)
    qtbot.addWidget(page)
    offer = found.args[0]
    assert recommended(page) == [(offer.model.name, offer.file.quantisation)]


def recommended(page: CataloguePage) -> list[tuple[str, str]]:
    tops = [page.tree.topLevelItem(index) for index in range(page.tree.topLevelItemCount())]
    items = [(top, top.child(index)) for top in tops for index in range(top.childCount())]
    return [
        (top.text(0), item.text(0))
        for top, item in items
        if "recommended" in [item.text(column) for column in range(item.columnCount())]
    ]


def test_the_chooser_begins_at_the_model_in_use_and_each_page_has_its_own_buttons(
    qtbot: QtBot,
) -> None:
    starter = starter_model()
    parent = QWidget()
    qtbot.addWidget(parent)
    chooser = ModelChooser([], starter, LoadSettings(), parent)
    chooser.show()
    qtbot.waitUntil(lambda: chooser.list.currentItem() is not None, timeout=10_000)
    assert chooser.list.currentItem().data(PATH_ROLE) == str(starter)
    assert chooser.use_button.isEnabled()
    chooser.tabs.setCurrentIndex(1)
    assert not chooser.use_button.isVisible()
    assert chooser.catalogue.download_button.isVisible()
    chooser.tabs.setCurrentIndex(0)
    assert chooser.use_button.isVisible()
