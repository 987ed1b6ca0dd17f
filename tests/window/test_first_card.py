"""The card of the first start in windows of every size."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QPushButton, QScrollArea, QToolButton
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue import forecaster, installed
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.model_file import ModelFile, Owner
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.memory.forecast import MachineSpeed
from r1desk.chat.messages.welcome import EXAMPLES, Welcome
from r1desk.models import file_lists
from r1desk.models.file_lists import first_offers
from r1desk.models.widgets.first_start_card import FirstStartCard
from r1desk.preferences import first_budget
from support.gguf_files import tiny_llama
from window.choosers import known
from window.mouse_and_keys import click, type_text
from window.session_fixture import first_start, ready_session


def offers() -> list[ModelFile]:
    small = known("deepseek-r1-distill-qwen-1.5b/Q5_K_M", 2048)
    return [small, known("deepseek-r1-0528-qwen3-8b/Q4_K_M", 5888)]


@pytest.fixture(params=["en", "zh_CN"])
def welcome(qtbot: QtBot, request: pytest.FixtureRequest) -> Welcome:
    use_language(request.param)
    made = Welcome(lambda _intent: None, None)
    qtbot.addWidget(made)
    made.set_model_name("SmolLM2-135M-Instruct", "A small model.")
    made.set_card(FirstStartCard(made))
    made.card.show_offers(offers(), 50_000_000_000)
    made.show_card(True)
    return made


def test_size_and_host_are_shown_and_the_whole_address_is_a_tip(welcome):
    for box, offered in zip((welcome.card.small, welcome.card.best), offers(), strict=True):
        url = offered.specs[0].url
        assert box.summary.name.text() == offered.title
        assert url.split("/")[2] in box.source.text()
        assert url in box.source.toolTip()
        assert box.button.accessibleDescription() == url
        assert "46.6 GB" in box.size_on_disk.text()


@pytest.mark.parametrize(
    ("machine_gib", "budget_mib", "titles"),
    [
        (3.8, 2048, ["Distill-Qwen-1.5B Q6_K"]),
        (7.7, 2816, ["Distill-Qwen-1.5B Q8_0"]),
        (15.6, 6400, ["Distill-Qwen-1.5B Q6_K", "0528-Qwen3-8B Q4_K_M"]),
        (23.5, 10_752, ["Distill-Qwen-1.5B Q6_K", "0528-Qwen3-8B Q6_K"]),
    ],
)
def test_a_small_model_and_the_best_for_the_budget_are_offered(
    monkeypatch, without_amx, machine_gib, budget_mib, titles
):
    memory = MemoryReading(machine_gib * 1024, machine_gib * 1000)
    speed = MachineSpeed(memory_mib_s=60_000, disk_mib_s=500, threads=2)
    monkeypatch.setattr(file_lists, "memory_reading", lambda: memory)
    monkeypatch.setattr(forecaster, "machine_speed", lambda: speed)
    settings = LoadSettings(memory_budget=budget_mib)
    (found,) = first_offers(Forecaster(settings, HeaderProcess()))
    assert [file.title.removeprefix("DeepSeek-R1-") for file in found] == titles


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
    path = Path("/home/me/Downloads/DeepSeek-R1-7B.gguf")
    card.show_file(ModelFile(path.stem, path.name, path=path, owner=Owner.DOWNLOADS))
    qtbot.wait(50)
    for button in card.findChildren(QPushButton):
        assert button.isVisible()
        assert button.width() >= button.minimumSizeHint().width()
        assert button.height() >= button.minimumSizeHint().height()
    assert_labels_are_whole(card)
    assert card.geometry().bottom() <= welcome.height()


@pytest.mark.parametrize("size", [(260, 300), (380, 200), (250, 330)])
def test_a_card_too_tall_for_the_window_is_whole_and_scrolls(qtbot, welcome, size):
    card = shown_card(qtbot, welcome, size)
    for button in card.findChildren(QPushButton):
        assert button.height() >= button.minimumSizeHint().height()
        assert card.rect().contains(button.geometry())
    assert_labels_are_whole(card)
    area = welcome.findChild(QScrollArea)
    assert card.width() <= area.viewport().width()
    assert area.verticalScrollBar().maximum() > 0
    area.ensureWidgetVisible(card.file_button)
    assert not card.file_button.visibleRegion().isEmpty()


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
    welcome.set_card(FirstStartCard(welcome))
    welcome.card.show_offers([], None)
    welcome.show_card(True)
    welcome.show()
    qtbot.waitExposed(welcome)
    assert not welcome.card.small.isVisible()
    assert welcome.card.starter_button.isVisible()
    assert welcome.card.file_button.isVisible()


def test_a_model_in_the_downloads_folder_is_one_click_away(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = tmp_path / "home" / "Downloads"
    downloads.mkdir(parents=True)
    for name in ("DeepSeek-R1-Distill-Qwen-1.5B.gguf", "holiday.gguf"):
        tiny_llama(downloads / name)
    monkeypatch.setattr(installed, "app_folders", lambda: {Owner.DOWNLOADS: (downloads,)})

    with ready_session(qtbot, own_profile, first_start) as session:
        card = session.window.chat.welcome.card
        qtbot.waitUntil(card.found.isVisible)
        assert card.found.summary.name.text() == "DeepSeek-R1-Distill-Qwen-1.5B"
        assert card.found.source.text() == "Downloads folder"
        qtbot.waitUntil(session.window.isActiveWindow)
        click(card.found.button)
        qtbot.waitUntil(lambda: not card.isVisible())
        type_text("Why")
        qtbot.waitUntil(
            lambda: session.models.loaded_path is not None and not session.models.loading
        )
        assert session.models.path.name == "DeepSeek-R1-Distill-Qwen-1.5B.gguf"
        assert session.window.composer.text() == "Why"
