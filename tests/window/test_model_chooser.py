"""The dialog for models: what is listed, recommended and said, and what its buttons ask for."""

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QAbstractButton, QMessageBox

from deepseek_r1.catalogue import forecaster
from deepseek_r1.catalogue.model_file import ModelFile, Owner
from deepseek_r1.memory.forecast import MachineSpeed, fit_facts
from r1desk.models.file_texts import Present
from r1desk.models.forecast_service import file_at
from r1desk.models.widgets import chooser as module
from r1desk.models.widgets.chooser import ModelChooser
from window.choosers import ALL, HERE, HUB, KNOWN, forecasts, known, rows, show
from window.mouse_and_keys import click, click_row, press_button

SEVEN = "DeepSeek-R1-Distill-Qwen-7B Q4_K_M"


def test_each_model_has_one_row_of_its_recommended_file_and_the_best_for_you_is_first(chooser):
    shown = list(rows(chooser).items())
    assert shown[0] == (
        "DeepSeek-R1-Distill-Qwen-1.5B Q6_K",
        ("1.4 GB", "fits · 7.3 tok/s", "best for you"),
    )
    assert [name for name, (*_, note) in shown if note == "also good"] == [
        "Qwen3.5-2B Q6_K",
        "VibeThinker-1.5B Q6_K",
    ]
    assert rows(chooser)["Ling-3.0-tiny Q4_K_M"][1].startswith("from the disk · ")


def test_no_model_is_the_best_for_you_while_no_speed_is_known(chooser, monkeypatch):
    monkeypatch.setattr(forecaster, "known_speed", MachineSpeed)
    chooser.show_files(forecasts(2048), Present())
    notes = {note for *_, note in rows(chooser).values()}
    assert "recommended" in notes
    assert not notes & {"best for you", "also good"}


def test_what_is_too_large_for_the_budget_is_not_recommended(chooser):
    chooser._budget_mib = 900
    chooser.show_files(forecasts(900), Present())
    large = {name: row for name, row in rows(chooser).items() if row[1].startswith("too large")}
    assert "Qwen3.5-2B Q4_K_M" in large
    assert {note for *_, note in large.values()} == {""}


def test_all_files_are_listed_with_fit_and_speed_where_they_are_asked_for(qtbot, chooser):
    show(qtbot, chooser, KNOWN)
    fits = {name: fit for name, (_, fit, _) in rows(chooser).items()}
    assert len(fits) == len(forecasts(2048))
    assert fits["DeepSeek-R1-Distill-Qwen-1.5B Q4_K_M"].startswith("fits · ")
    assert fits[SEVEN].startswith("from the disk · 0.")
    assert fits["DeepSeek-R1-Distill-Qwen-14B Q8_0"] == "too large for the budget"


def test_purpose_licence_scores_bill_and_the_recommended_size_are_said_of_a_model(chooser):
    click_row(chooser.list, "VibeThinker-1.5B")
    pane = chooser.pane
    assert [chip.text() for chip in pane.summary.chips][:2] == ["fits", "7.3 tok/s"]
    text = pane.text.text()
    assert "MIT · AIME 2024 80.3, " in text
    assert "(makers' own figures)" in text
    assert "/ 2.0 GB" in text
    assert (
        "Recommended: Q6_K (7.3 tok/s from memory, quality loss 0.3 %). Best that runs here: "
        "Q8_0 (5.8 tok/s from the disk, quality loss 0.04 %)." in text
    )
    click_row(chooser.list, "Qwen3.5-4B")
    assert "Its makers recommend: temperature 1, top_p 0.95" in pane.text.text()


@pytest.fixture
def wanted(chooser: ModelChooser) -> list[object]:
    """What the chooser is asked for, in order."""
    asked: list[object] = []
    pane = chooser.pane
    pane.download_requested.connect(asked.append)
    pane.use_requested.connect(asked.append)
    return asked


def test_address_and_size_are_shown_before_anything_is_fetched(chooser, wanted):
    click_row(chooser.list, "DeepSeek-R1-Distill-Llama-8B")
    pane = chooser.pane
    assert "4.6 GB to download" in pane.text.text()
    assert pane.address.text().startswith("https://huggingface.co/")
    click(pane.button)
    assert [spec.url for spec in wanted] == [pane.address.text()]
    chooser.show()
    pane.source.setCurrentText("ModelScope")
    click(pane.button)
    assert wanted[1].url.startswith("https://modelscope.cn/")


def test_a_download_closes_the_dialog_and_rests_while_it_runs(qtbot, chooser, wanted):
    click_row(chooser.list, "Qwen3.5-4B")
    chooser.pane.button.setFocus()
    qtbot.keyClick(chooser.pane.button, Qt.Key.Key_Return)
    assert not chooser.isVisible()
    chooser.show()
    chooser.show_present(Present(arriving=[wanted[0].file]))
    assert chooser.pane.button.text() == "Downloading…"
    assert not chooser.pane.button.isEnabled()
    assert rows(chooser)["Qwen3.5-4B Q4_K_M"][2] == "Downloading…"
    assert chooser.list.selected.name == "Qwen3.5-4B"


def test_a_return_in_the_list_downloads_nothing(qtbot, chooser, wanted):
    click_row(chooser.list, "Qwen3.5-4B", double=True)
    qtbot.keyClick(chooser.list, Qt.Key.Key_Return)
    assert not wanted
    assert chooser.isVisible()


def test_of_a_file_without_a_checksum_the_hub_is_asked(chooser, wanted):
    click_row(chooser.list, "Qwen3.5-4B")
    click(chooser.pane.button)
    (spec,) = wanted
    assert spec.listed_in.quantisation == "Q4_K_M"
    assert spec.size_bytes is None
    assert not spec.accept_unverified


def test_a_file_at_an_address_is_downloaded_only_after_a_question(qtbot, chooser, wanted):
    show(qtbot, chooser, HUB)
    chooser.show_listed([file_at("https://example.com/models/some.gguf")], "", "")
    assert rows(chooser) == {"some": ("?", "?", "")}
    click(chooser.pane.button)
    qtbot.keyClick(chooser.findChild(QMessageBox), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not chooser.findChild(QMessageBox))
    assert not wanted
    click(chooser.pane.button)
    press_button(chooser.findChild(QMessageBox), "Download anyway")
    assert [spec.accept_unverified for spec in wanted] == [True]


# ---- files of this computer ---------------------------------------------------------------------


@pytest.fixture
def here(chooser: ModelChooser) -> ModelFile:
    """The 7B's file, downloaded with a browser, among all files."""
    file, path = known("deepseek-r1-distill-qwen-7b/Q4_K_M"), Path("/home/me/Downloads/7b.gguf")
    found = replace(file, path=path, real_path=path, owner=Owner.DOWNLOADS, sources={})
    others = [each for each in forecasts(2048) if each.file != file.file]
    chooser.show_files([found, *others], Present())
    return found


@pytest.mark.parametrize("shown", [ALL, HERE, KNOWN])
def test_a_file_that_is_here_is_offered_for_use_and_not_for_download(
    qtbot, chooser, here, wanted, shown
):
    show(qtbot, chooser, shown)
    assert rows(chooser)[SEVEN] == (
        "4.4 GB",
        " · ".join(fit_facts(here.forecast)),
        "Downloads folder",
    )
    click_row(chooser.list, SEVEN)
    assert chooser.pane.address.text() == str(here.path)
    qtbot.keyClick(chooser.list, Qt.Key.Key_Return)
    assert wanted == [here.path]
    click_row(chooser.list, SEVEN, double=True)
    assert wanted == [here.path, here.path]


def test_the_loaded_model_is_not_offered_for_use_until_it_is_unloaded(qtbot, chooser, here):
    show(qtbot, chooser, HERE)
    for present, state, usable in (
        (Present(chosen=here.path, loaded=here.path), "loaded", False),
        (Present(chosen=here.path), "chosen, not loaded", True),
    ):
        chooser.show_present(present)
        assert rows(chooser)[SEVEN][2] == state
        assert chooser.pane.button.isVisible() is usable
        assert chooser.pane.unload_button.isVisible() is not usable
        assert chooser.pane.delete_button.isEnabled() is usable
        why = "It is loaded. Unload it before you delete it."
        assert (why in chooser.pane.text.text()) is not usable


def test_all_is_done_by_keys(qtbot, chooser, here, wanted):
    qtbot.waitUntil(chooser.list.hasFocus)
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(chooser.list, Qt.Key.Key_Tab, control)
    assert chooser.filter.currentIndex() == HERE
    qtbot.keyClick(chooser.list, Qt.Key.Key_Backtab, control | shift)
    assert chooser.filter.currentIndex() == ALL
    qtbot.keyClick(chooser.list, Qt.Key.Key_Down)
    assert chooser.list.selected.path is None
    chooser.pane.address.setFocus()
    qtbot.keyClick(chooser.pane.address, Qt.Key.Key_Tab)
    assert chooser.focusWidget() is chooser.pane.button
    qtbot.keyClick(chooser.pane.button, Qt.Key.Key_Return)
    assert [spec.file for spec in wanted] == [chooser.list.selected.file]


def test_a_row_is_one_sentence_for_a_screen_reader(chooser):
    first = chooser.list.model().index(0, 0)
    assert first.data(Qt.ItemDataRole.AccessibleTextRole) == (
        "DeepSeek-R1-Distill-Qwen-1.5B Q6_K, 1.4 GB, fits · 7.3 tok/s, best for you"
    )


@pytest.mark.parametrize("shown", [ALL, HERE, HUB])
def test_on_a_small_screen_every_button_can_be_reached(qtbot, chooser, here, monkeypatch, shown):
    screen = QSize(675, 344)  # 1366x768 at 200 %
    monkeypatch.setattr(module, "size_within_screen", lambda _w, _s: screen)
    chooser.hide()
    chooser.show()
    show(qtbot, chooser, shown)
    qtbot.wait(50)
    assert chooser.size() == screen
    for button in chooser.findChildren(QAbstractButton):
        if button.isVisible() and not button.visibleRegion().isEmpty():
            corner = button.mapTo(chooser, button.rect().bottomRight())
            assert chooser.rect().contains(corner)
    assert not chooser.pane.button.visibleRegion().isEmpty()


def test_in_a_narrow_list_size_fit_and_note_stand_below_the_name(chooser, monkeypatch):
    monkeypatch.setattr(module, "size_within_screen", lambda _w, _s: QSize(675, 344))
    chooser.hide()
    chooser.show()
    name, *facts = (chooser.list.model().index(0, column) for column in range(4))
    assert name.data() == (
        "DeepSeek-R1-Distill-Qwen-1.5B Q6_K\n1.4 GB · fits · 7.3 tok/s · best for you"
    )
    assert all(chooser.list.isColumnHidden(each.column()) for each in facts)
    monkeypatch.setattr(module, "size_within_screen", lambda _w, _s: QSize(1300, 700))
    chooser.resize(1300, 700)
    assert name.data() == "DeepSeek-R1-Distill-Qwen-1.5B Q6_K"


def test_an_address_that_is_too_long_is_cut_with_a_sign_and_copied_whole(chooser):
    click_row(chooser.list, "DeepSeek-R1-Distill-Llama-8B")
    address = chooser.pane.address
    address.setFixedWidth(120)
    assert "…" in address.shown()
    address.selectAll()
    assert address.selectedText() == address.text()
