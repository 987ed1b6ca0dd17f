"""The card of the first start in windows of every size."""

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QScrollArea, QToolButton
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue.model_file import ModelFile, Owner
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.hardware.pressure import MemoryReading
from r1desk.chat.messages.welcome import EXAMPLES, Welcome
from r1desk.models import first_start_presenter
from r1desk.models.widgets.first_start_card import FirstStartCard
from r1desk.preferences import first_budget
from support.gguf_files import tiny_llama
from window.choosers import known
from window.mouse_and_keys import click, type_text
from window.session_fixture import first_start, ready_session


def offer() -> ModelFile:
    return known("deepseek-r1-0528-qwen3-8b/Q4_K_M", 5888)


@pytest.fixture(params=["en", "zh_CN"])
def welcome(qtbot: QtBot, request: pytest.FixtureRequest) -> Welcome:
    use_language(request.param)
    made = Welcome(lambda _intent: None, None)
    qtbot.addWidget(made)
    made.set_model_name("SmolLM2-135M-Instruct", "A small model.")
    made.set_card(FirstStartCard(made))
    made.card.show_offer(offer())
    made.show_card(True)
    return made


def test_size_and_host_are_shown_and_the_whole_address_is_a_tip(welcome):
    card, offered = welcome.card, offer()
    url = offered.specs[0].url
    assert card.summary.name.text() == offered.title
    assert url.split("/")[2] in card.source.text()
    assert url in card.source.toolTip()
    assert card.button.accessibleDescription() == url
    assert card.button.text().endswith("4.7 GB")


def test_the_budget_of_the_first_start_is_a_share_of_what_is_free() -> None:
    assert first_budget(MemoryReading(3900.0, 3000.0)) == 2048
    assert first_budget(MemoryReading(7900.0, 3000.0)) == 2048
    assert first_budget(MemoryReading(7900.0, 5900.0)) == 2816
    assert first_budget(MemoryReading(24_000.0, 21_500.0)) == 10_496


def shown_card(qtbot: QtBot, welcome: Welcome, size: tuple[int, int]) -> FirstStartCard:
    welcome.resize(*size)
    welcome.show()
    qtbot.waitExposed(welcome)
    qtbot.wait(50)
    return welcome.card


def assert_labels_are_whole(card: FirstStartCard) -> None:
    for label in card.findChildren(QLabel):
        assert label.height() >= label.heightForWidth(label.width())


@pytest.mark.parametrize("size", [(780, 620), (380, 640), (1600, 900), (500, 640)])
def test_everything_on_the_card_can_be_read(qtbot, welcome, size):
    card = shown_card(qtbot, welcome, size)
    for button in card.findChildren(QPushButton):
        assert button.isVisible()
        assert button.width() >= button.minimumSizeHint().width()
        assert button.height() >= button.minimumSizeHint().height()
    assert_labels_are_whole(card)
    assert card.geometry().bottom() <= welcome.height()


@pytest.mark.parametrize("size", [(260, 250), (380, 180)])
def test_a_card_too_tall_for_the_window_is_whole_and_scrolls(qtbot, welcome, size):
    card = shown_card(qtbot, welcome, size)
    for button in card.findChildren(QPushButton):
        assert button.height() >= button.minimumSizeHint().height()
        assert card.rect().contains(button.geometry())
    assert_labels_are_whole(card)
    area = welcome.findChild(QScrollArea)
    assert card.width() <= area.viewport().width()
    assert area.verticalScrollBar().maximum() > 0
    area.ensureWidgetVisible(card.choose_button)
    assert not card.choose_button.visibleRegion().isEmpty()


def test_the_questions_come_back_when_the_card_goes(qtbot: QtBot, welcome: Welcome) -> None:
    shown_card(qtbot, welcome, (780, 620))
    texts = set(map(tr, EXAMPLES))
    questions = [b for b in welcome.findChildren(QToolButton) if b.text() in texts]
    assert len(questions) == len(EXAMPLES)
    assert not any(button.isVisible() for button in questions)
    welcome.show_card(False)
    assert not welcome.card.isVisible()
    assert all(button.isVisible() for button in questions)
    qtbot.wait(50)
    assert all(button.width() >= button.sizeHint().width() for button in questions)


def test_where_no_model_fits_there_are_two_ways_left(qtbot: QtBot, welcome: Welcome) -> None:
    welcome.card.show_offer(None)
    card = shown_card(qtbot, welcome, (780, 620))
    assert not card.button.isVisible()
    assert not card.summary.isVisible()
    assert card.starter_button.isVisible()
    assert card.choose_button.isVisible()


@pytest.mark.usefixtures("known_speed")
def test_a_known_model_that_is_here_is_offered_for_use_and_the_list_of_models_is_one_click_away(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_llama(tmp_path / "here.gguf")
    here = replace(offer(), path=path, real_path=path, owner=Owner.FOLDER, sources={})
    monkeypatch.setattr(first_start_presenter, "find_files", lambda _forecaster, _: iter([(here,)]))
    with ready_session(qtbot, own_profile, first_start) as session:
        card = session.window.chat.welcome.card
        click(card.choose_button)
        qtbot.waitUntil(lambda: QApplication.activeModalWidget() is not None)
        QApplication.activeModalWidget().reject()
        qtbot.waitUntil(card.button.isVisible)
        assert card.button.text() == "Use it"
        session.window.activateWindow()
        qtbot.waitUntil(session.window.isActiveWindow)
        click(card.button)
        qtbot.waitUntil(lambda: not card.isVisible())
        type_text("Why")
        qtbot.waitUntil(lambda: session.models.loaded_path == path)
        assert session.window.composer.text() == "Why"
