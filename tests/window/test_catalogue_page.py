"""Choosing a model: what is recommended, and what can be done on which page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue.download_spec import DownloadSpec, find_known
from deepseek_r1.catalogue.installed import InstalledModel, Origin, Owner
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.forecast import estimate_fit, format_fit
from r1desk.models.catalogue_picks import CatalogueFile, Pick, Standing
from r1desk.models.forecast_service import ForecastService
from r1desk.models.scan import FoundModel
from r1desk.models.widgets import catalogue_page
from r1desk.models.widgets import chooser as chooser_module
from r1desk.models.widgets.catalogue_page import CataloguePage
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.models.widgets.model_card import ModelCard
from r1desk.models.widgets.page_parts import GiveButton
from r1desk.preferences import Preferences
from window.catalogue_pages import SPEED, select

pytestmark = pytest.mark.usefixtures("known_speed")


def test_the_page_begins_with_cards_for_the_budget(page: CataloguePage) -> None:
    cards = {card.file.model.id: card for card in page.cards}
    assert list(cards)[:2] == ["qwen3.5-2b", "vibethinker-1.5b"]
    assert facts(cards["vibethinker-1.5b"])[0] == "fits"
    assert facts(cards["ling-3.0-tiny"])[0] == "from the disk"
    scores = cards["vibethinker-1.5b"].scores.text()
    assert scores.startswith("MIT · AIME 2024 80.3, ")
    assert "(self-reported)" in scores
    assert "Artificial Analysis" in cards["qwen3.5-2b"].scores.text()
    assert cards["vibethinker-1.5b"].ladder.text() == (
        "Q8_0 is the most exact that runs here and writes as fast as one reads: 5.8 tok/s from "
        "the disk, perplexity +0.04 %."
    )


def facts(card: ModelCard) -> list[str]:
    return [chip.text() for chip in card.chips]


def test_a_card_that_needs_more_memory_gives_it_and_downloads(qtbot, page, given):
    smartest = next(card for card in page.cards if card.file.model.id == "ling-3.0-tiny")
    assert smartest.give.text().startswith("Download and give it ")
    with qtbot.waitSignal(page.download_requested):
        qtbot.mouseClick(smartest.give, Qt.MouseButton.LeftButton)
    assert given == [smartest.file.forecast.raised.memory_budget]
    page.show_arriving([smartest.file.file.file])
    assert smartest.button.text() == "Downloading…"
    assert not smartest.button.isEnabled()
    assert not smartest.give.isEnabled()


def test_more_memory_is_offered_only_for_more_speed(qtbot: QtBot) -> None:
    model, file = find_known("deepseek-r1-distill-llama-8b/Q3_K_M")
    settings = LoadSettings(memory_budget=4096)
    from_disk = estimate_fit(model.header(file), settings, SPEED, 22_000.0)
    assert from_disk.raised is not None
    button = GiveButton(lambda _budget: None, lambda: None)
    qtbot.addWidget(button)
    button.offer(from_disk)
    assert button.isHidden(), "only a long conversation reads from the disk"
    button.offer(replace(from_disk, tok_s=from_disk.raised_tok_s / 2))
    assert not button.isHidden()


def test_there_is_nothing_to_scroll_where_all_cards_are_in_view(qtbot, page):
    area = page.findChild(QScrollArea)

    def leaves_little() -> bool:
        """Whether the page is hardly higher than its cards, which may still be laid out anew."""
        unused = area.viewport().height() - page.all_button.geometry().bottom()
        page.resize(page.width(), page.height() - unused + 30)
        return 25 < unused < 35

    qtbot.waitUntil(leaves_little)
    assert area.viewport().height() > page.all_button.geometry().bottom()
    assert area.verticalScrollBar().maximum() == 0


def test_a_click_on_a_card_downloads_its_model(qtbot: QtBot, page: CataloguePage) -> None:
    card = page.cards[0]
    with qtbot.waitSignal(page.download_requested) as requested:
        qtbot.mouseClick(card.button, Qt.MouseButton.LeftButton)
    assert requested.args[0].file == card.file.file.file
    assert requested.args[0].url in card.button.toolTip(), "the address is shown before the click"


def test_all_files_have_a_page_of_their_own_with_fit_and_speed(qtbot, page):
    assert not page.table.isVisible()
    qtbot.mouseClick(page.all_button, Qt.MouseButton.LeftButton)
    assert page.table.isVisible()
    texts = fits(page)
    assert texts["DeepSeek-R1-Distill-Qwen-1.5B", "Q4_K_M"].startswith("fits · ")
    assert texts["DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M"].startswith("from the disk · 0.")
    assert texts["DeepSeek-R1-Distill-Qwen-14B", "Q8_0"] == "too large for the budget"
    tree = page.table.tree
    families = [tree.findItems(f"DeepSeek-R1-Distill-Qwen-{size}", Qt.MatchFlag.MatchExactly)[0]
                for size in ("1.5B", "7B")]  # fmt: skip
    assert [family.text(3) for family in families] == [
        texts["DeepSeek-R1-Distill-Qwen-1.5B", "Q6_K"],
        texts["DeepSeek-R1-Distill-Qwen-7B", "Q3_K_M"],
    ]
    qtbot.mouseClick(page.back_button, Qt.MouseButton.LeftButton)
    assert page.cards[0].isVisible()


@pytest.fixture
def requested(page: CataloguePage) -> list[DownloadSpec]:
    """The downloads that the page asks for; all files are shown."""
    specs: list[DownloadSpec] = []
    page.download_requested.connect(lambda spec, _draft: specs.append(spec))
    page.all_button.click()
    return specs


def test_address_size_free_space_and_bill_are_shown_before_anything_is_fetched(page, requested):
    table = page.table
    select(page, "DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M")
    table.show_free_space(50_000_000_000)
    assert "4.36 GiB to download, 46.57 GiB free on the drive" in table.detail.text()
    assert "MiB of the budget of 2,048 MiB" in table.detail.text()
    assert table.address.text().startswith("https://huggingface.co/")
    table.download_button.click()
    assert [spec.url for spec in requested] == [table.address.text()]
    table.source.setCurrentText("ModelScope")
    table.download_button.click()
    assert requested[1].url.startswith("https://modelscope.cn/")


def test_of_a_file_without_a_checksum_the_hub_is_asked(page, requested):
    for model, file in (("DeepSeek-R1-0528-Qwen3-8B", "Q8_0"), ("Qwen3.5-4B", "Q4_K_M")):
        select(page, model, file)
        page.table.download_button.click()
    assert [each.listed_in.quantisation for each in requested if each.listed_in] == [
        "Q8_0",
        "Q4_K_M",
    ]
    assert not any(each.accept_unverified or each.size_bytes for each in requested)
    assert "Its makers recommend: temperature 1, top_p 0.95" in page.table.detail.text()


def fits(page: CataloguePage) -> dict[tuple[str, str], str]:
    tree = page.table.tree
    tops = [tree.topLevelItem(index) for index in range(tree.topLevelItemCount())]
    return {
        (top.text(0), top.child(at).text(0)): top.child(at).text(3)
        for top in tops
        for at in range(top.childCount())
    }


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    return made


def shown_chooser(parent: QWidget, loaded: Path | None = None) -> ModelChooser:
    service = ForecastService(Preferences())
    chooser = ModelChooser([], starter_model(), service, parent, loaded=loaded)
    chooser.show()
    return chooser


def test_return_presses_the_button_that_has_the_focus(qtbot: QtBot, parent: QWidget) -> None:
    chooser = shown_chooser(parent)
    chooser.tabs.setCurrentWidget(chooser.catalogue)
    page = chooser.catalogue
    for button, shows_all in ((page.all_button, True), (page.back_button, False)):
        button.setFocus()
        qtbot.keyClick(button, Qt.Key.Key_Return)
        assert page.table.isVisible() is shows_all
    assert chooser.isVisible()


def test_the_chooser_begins_at_the_model_in_use_and_each_page_has_its_own_buttons(qtbot, parent):
    chooser = shown_chooser(parent)
    qtbot.waitUntil(lambda: chooser.files.tree.selected is not None)
    assert chooser.files.tree.selected.installed.path == starter_model()
    assert "fits" in chooser.files.tree.currentItem().text(2), "the bill is known before a load"
    assert "of memory" in chooser.files.note.text()
    assert "135M parameters" in chooser.files.note.text()
    assert chooser.use_button.isEnabled()
    chooser.tabs.setCurrentIndex(1)
    assert not chooser.use_button.isVisible()
    assert chooser.catalogue.all_button.isVisible()
    chooser.tabs.setCurrentIndex(0)
    assert chooser.use_button.isVisible()


def test_the_model_in_use_is_not_offered_for_use(qtbot: QtBot, parent: QWidget) -> None:
    chooser = shown_chooser(parent, loaded=starter_model())
    qtbot.waitUntil(lambda: chooser.files.tree.selected is not None)
    assert not chooser.use_button.isEnabled()


@pytest.mark.parametrize("tab", [0, 1])
def test_on_a_small_screen_every_button_can_be_reached(qtbot, parent, monkeypatch, tab):
    screen = QSize(675, 344)  # 1366x768 at 200 %
    monkeypatch.setattr(chooser_module, "size_within_screen", lambda _w, _s: screen)
    chooser = shown_chooser(parent)
    chooser.tabs.setCurrentIndex(tab)
    qtbot.waitUntil(lambda: bool(chooser.catalogue.cards) or tab == 0)
    qtbot.wait(50)
    assert chooser.size() == screen
    for button in chooser.buttons.buttons():
        if button.isVisible():
            assert chooser.rect().contains(button.geometry().translated(chooser.buttons.pos()))
    for card in chooser.catalogue.cards:
        right = card.button.mapTo(chooser, card.button.rect().topRight()).x()
        assert right < screen.width()


@pytest.fixture
def downloaded(page: CataloguePage, monkeypatch: pytest.MonkeyPatch) -> FoundModel:
    """The 7B's file, downloaded with a browser; the cards are for it and for another one."""
    model, file = find_known("deepseek-r1-distill-qwen-7b/Q4_K_M")
    path = Path("/home/me/Downloads") / file.file
    header = replace(model.header(file), path=path)
    here = InstalledModel(path, Origin.OTHER_APP, model.name, header, model, None, Owner.DOWNLOADS)
    forecast = estimate_fit(header, LoadSettings(memory_budget=2048), SPEED, 0.0)

    def picked(files: Sequence[CatalogueFile], _budget_mib: int) -> tuple[Pick, ...]:
        (seven,) = [each for each in files if each.file == file]
        return Pick(Standing.FIRST, files[0], ""), Pick(Standing.ALSO, seven, "")

    monkeypatch.setattr(catalogue_page, "pick", picked)
    return FoundModel(here, forecast)


def test_a_file_that_is_here_is_offered_for_use_and_not_for_download(qtbot, page, downloaded):
    page.show_places([downloaded], None)
    other, here = page.cards
    assert other.button.text().startswith("Download ")
    assert here.button.text() == "Use this model"
    assert here.place.text() == "On this computer, in Downloads"
    with qtbot.waitSignal(page.use_requested) as used:
        qtbot.mouseClick(here.button, Qt.MouseButton.LeftButton)
    assert used.args == [downloaded.installed.path]
    assert format_fit(downloaded.forecast).startswith(facts(here)[0])
    assert fits(page)["DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M"] == format_fit(downloaded.forecast)
    page.show_places([downloaded], downloaded.installed.path)
    assert not page.cards[1].button.isEnabled(), "it is in use"
    page.forget_loaded()
    assert page.cards[1].button.isEnabled(), "it was unloaded"


def test_among_all_files_too_it_is_offered_for_use(qtbot, page, downloaded):
    page.show_places([downloaded], None)
    qtbot.mouseClick(page.all_button, Qt.MouseButton.LeftButton)
    table = page.table
    (seven,) = table.tree.findItems("Qwen-7B", Qt.MatchFlag.MatchContains)
    rows = {seven.child(at).text(0): seven.child(at) for at in range(seven.childCount())}
    table.tree.setCurrentItem(rows["Q5_K_M"])
    assert table.download_button.text() == "Download now"
    table.tree.setCurrentItem(rows["Q4_K_M"])
    with qtbot.waitSignal(page.use_requested) as used:
        qtbot.mouseClick(table.download_button, Qt.MouseButton.LeftButton)
    assert used.args == [downloaded.installed.path]
