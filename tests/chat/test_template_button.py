"""The chat template of a model whose file has none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import TemplateSource, TemplateUsed
from deepseek_r1.core.template_names import TEMPLATE_NAMES
from deepseek_r1.engine.prompt import template
from r1desk.chat.composer.menu_buttons import TemplateButton


@pytest.fixture
def button(qtbot: QtBot) -> Iterator[TemplateButton]:
    parent = QWidget()
    qtbot.addWidget(parent)
    yield TemplateButton(parent)
    parent.close()


def test_every_template_of_the_engine_can_be_chosen() -> None:
    assert sorted(template._SOURCES) == sorted(TEMPLATE_NAMES)


def test_a_files_own_template_needs_no_button(qtbot: QtBot, button: TemplateButton) -> None:
    button.show_template(TemplateUsed())
    assert button.isHidden()
    button.show_template(TemplateUsed(name="chatml", source=TemplateSource.FAMILY))
    assert not button.isHidden()
    assert button.text() == "Template: chatml"
    assert "family" in button.toolTip()


def test_another_template_is_one_choice_away(qtbot: QtBot, button: TemplateButton) -> None:
    button.show_template(TemplateUsed(name="completion", source=TemplateSource.COMPLETION))
    button.menu().aboutToShow.emit()
    actions = {action.text(): action for action in button.menu().actions()}
    assert actions["Automatic"].isChecked()
    with qtbot.waitSignal(button.template_chosen) as chosen:
        actions["llama3"].trigger()
    assert chosen.args == ["llama3"]


def test_a_template_from_a_file_is_requested_and_then_named(
    qtbot: QtBot, button: TemplateButton
) -> None:
    button.show_template(TemplateUsed(name="chatml", source=TemplateSource.FAMILY))
    button.menu().aboutToShow.emit()
    with qtbot.waitSignal(button.file_requested):
        button.menu().actions()[-1].trigger()
    button.show_template(TemplateUsed(source=TemplateSource.CHOSEN), "mine & yours.jinja")
    assert button.text() == "Template: mine && yours.jinja"  # shown with one &
    button.menu().aboutToShow.emit()
    checked = [each.text() for each in button.menu().actions() if each.isChecked()]
    assert checked == ["mine && yours.jinja"]
    button.show_template(TemplateUsed(source=TemplateSource.CHOSEN), f"{'x' * 99}.jinja")
    assert len(button.text()) < 50
