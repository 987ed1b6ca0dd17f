"""The list of model files: sizes, owners, states; deleted to the trash and brought back."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox, QTreeWidgetItem
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue import installed
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.installed import Owner
from deepseek_r1.catalogue.partial_file import STAGING, PartialFile
from deepseek_r1.formats import split
from r1desk.models.widgets import files_page
from r1desk.models.widgets.files_page import FilesPage
from r1desk.shell.session import Session
from support.gguf_files import tiny_llama
from window.catalogue_pages import open_chooser
from window.mouse_and_keys import click, press_button
from window.session_fixture import ready_session


@pytest.fixture(autouse=True)
def own_trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if sys.platform != "linux":
        pytest.skip("elsewhere the trash is the user's own")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "Trash" / "files"


@pytest.fixture(autouse=True)
def other_apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of LM Studio with one model, and nothing of any other application."""
    folder = tmp_path / "studio"
    folder.mkdir()
    tiny_llama(folder / "theirs.gguf")
    found = {Owner.LM_STUDIO: (folder,)}
    monkeypatch.setattr(installed, "app_folders", lambda: found)
    return folder


def open_page(qtbot: QtBot, session: Session) -> FilesPage:
    return open_chooser(qtbot, session, "files")


@pytest.fixture
def mine(own_profile: Path) -> Path:
    """A model of the user's own."""
    (own_profile / "models").mkdir(parents=True, exist_ok=True)
    return tiny_llama(own_profile / "models" / "mine.gguf")


@pytest.fixture
def page(qtbot: QtBot, own_profile: Path, ready: Session) -> FilesPage:
    """The page of a running application, once it lists the starter, theirs and `mine`."""
    page = open_page(qtbot, ready)
    count = 2 + (own_profile / "models" / "mine.gguf").exists()
    qtbot.waitUntil(lambda: page.tree.topLevelItemCount() == count)
    return page


def rows(page: FilesPage) -> dict[str, tuple[str, str, str]]:
    return {item.text(0): (item.text(1), item.text(2), item.text(3)) for item in items(page)}


def items(page: FilesPage) -> list[QTreeWidgetItem]:
    return [page.tree.topLevelItem(at) for at in range(page.tree.topLevelItemCount())]


def answer_box(page: FilesPage, button: str) -> str:
    """Click the question's button of this name; returns what it said."""
    box = page.findChild(QMessageBox)
    text = f"{box.text()} {box.informativeText()}".replace("\u200b", "")
    press_button(box, button)
    return text


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The headers that this process reads."""
    paths: list[Path] = []
    monkeypatch.setattr(split, "read_container", paths.append)
    return paths


def test_the_window_reads_no_header_itself(read_here: list[Path], page: FilesPage) -> None:
    assert "Tiny llama" in rows(page)
    assert not read_here


def test_every_file_is_listed_with_size_state_and_owner(qtbot, mine, page):
    found = rows(page)
    size, state, owner = found["SmolLM2-135M-Instruct"]
    assert (size, owner) == ("94 MiB", "the installation")
    assert state.startswith("loaded · fits")
    owners = {item.text(3) for item in items(page)}
    assert owners == {"the installation", "R1 Desk", "LM Studio"}
    qtbot.waitUntil(lambda: "free on the drive" in page.total.text())
    assert "in 3 models" in page.total.text()


def select(page: FilesPage, text: str, column: int = 3) -> None:
    """Click the row that has this text in a column, by default the owner's."""
    view = page.tree
    item = next(each for each in items(page) if each.text(column).startswith(text))
    spot = view.visualItemRect(item).center()
    QTest.mouseClick(
        view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot
    )


def test_a_deleted_model_is_in_the_trash(qtbot, mine, page, own_trash):
    select(page, "R1 Desk")
    click(page.delete_button)
    text = answer_box(page, "Move to the trash")
    assert str(mine) in text
    qtbot.waitUntil(lambda: not mine.exists())
    assert (own_trash / "mine.gguf").exists()
    qtbot.waitUntil(lambda: page.tree.topLevelItemCount() == 2)


def test_the_delete_key_asks_and_enter_deletes_nothing(qtbot, mine, page):
    select(page, "R1 Desk")
    qtbot.keyClick(page.tree, Qt.Key.Key_Delete)
    box = page.findChild(QMessageBox)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not box.isVisible())
    qtbot.wait(100)
    assert mine.exists()


def test_a_file_of_another_application_is_deleted_only_under_its_name(qtbot, page, other_apps):
    select(page, "LM Studio")
    click(page.delete_button)
    text = answer_box(page, "Delete for good")
    assert "It belongs to LM Studio" in text
    qtbot.waitUntil(lambda: not (other_apps / "theirs.gguf").exists())


def test_without_a_trash_the_file_stays_and_the_reason_is_shown(qtbot, mine, page, tmp_path):
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").write_text("a file where the trash would be")
    select(page, "R1 Desk")
    click(page.delete_button)
    answer_box(page, "Move to the trash")
    qtbot.waitUntil(lambda: "no trash" in page.notices.text)
    assert mine.exists()


def test_the_loaded_model_is_unloaded_before_it_can_be_deleted(qtbot, mine, ready):
    ready.models.choose(mine)
    qtbot.waitUntil(lambda: ready.models.loaded_path == mine)
    page = open_page(qtbot, ready)
    qtbot.waitUntil(lambda: any(each.text(2).startswith("loaded") for each in items(page)))
    select(page, "loaded", column=2)
    assert not page.delete_button.isEnabled()
    assert page.unload_button.isVisible()
    click(page.unload_button)
    qtbot.waitUntil(lambda: ready.models.current is None)
    qtbot.waitUntil(page.delete_button.isEnabled)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose folders are shown."""
    files: list[Path] = []
    monkeypatch.setattr(files_page, "show_in_folder", files.append)
    return files


def test_the_folder_of_the_selected_file_is_shown(mine, shown, page):
    select(page, "R1 Desk")
    click(page.show_button)
    assert shown == [mine]
    assert page.path.text() == str(mine)


def test_a_partial_download_of_last_time_is_listed_and_deleted(qtbot, own_profile):
    folder = own_profile / "models"
    folder.mkdir(parents=True)
    spec = DownloadSpec("https://example.com/part.gguf", "part.gguf", "0" * 64, 50_000_000)
    part = PartialFile(folder, spec)
    part.resume(Stop())
    part.write(b"GGUF" + bytes(9 << 20))
    part.close()
    with ready_session(qtbot, own_profile) as session:
        page = open_page(qtbot, session)
        qtbot.waitUntil(lambda: "part.gguf" in page.window().downloads.list.rows)
        row = page.window().downloads.list.rows["part.gguf"]
        assert row.resume_button.isVisible()
        assert row.status.text().startswith("Paused at 9 MiB")
        click(row.delete_button)
        QApplication.activeModalWidget().reject()
        assert list((folder / STAGING).glob("part.gguf.*"))
        click(row.delete_button)
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        assert "already downloaded" in box.text()
        press_button(box, "Delete")
        qtbot.waitUntil(lambda: "part.gguf" not in page.window().downloads.list.rows)
        qtbot.waitUntil(lambda: not list((folder / STAGING).glob("part.gguf.*")))
