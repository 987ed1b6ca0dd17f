"""The dialog for models in a running application: its files, the trash, repositories."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from deepseek_r1.catalogue import installed
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.model_file import Owner
from deepseek_r1.formats import gguf
from r1desk.models import chooser_presenter
from r1desk.models.widgets import detail_pane
from r1desk.models.widgets.chooser import ModelChooser
from support.gguf_files import tiny_llama, tiny_qwen2
from support.hostile_server import QUICK, HostileServer, hub_server, page
from support.split import split
from window.choosers import HERE, HUB, open_chooser, rows
from window.mouse_and_keys import click, click_row, press_button

pytestmark = pytest.mark.usefixtures("no_proxy", "known_speed")


@pytest.fixture
def own_trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if sys.platform != "linux":
        pytest.skip("elsewhere the trash is the user's own")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "Trash" / "files"


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in a folder of LM Studio, and nothing of any other application."""
    folder = tmp_path / "studio"
    folder.mkdir()
    monkeypatch.setattr(installed, "app_folders", lambda: {Owner.LM_STUDIO: (folder,)})
    return tiny_llama(folder / "theirs.gguf")


@pytest.fixture
def mine(own_profile: Path) -> Path:
    """A model of the user's own."""
    (own_profile / "models").mkdir(parents=True, exist_ok=True)
    return tiny_qwen2(own_profile / "models" / "mine.gguf")


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The headers that this process reads."""
    paths: list[Path] = []
    monkeypatch.setattr(gguf, "read_container", paths.append)
    return paths


@pytest.fixture
def files(qtbot, own_trash, theirs, mine, read_here, ready) -> ModelChooser:
    """The dialog, once it lists the starter, theirs and mine."""
    chooser = open_chooser(qtbot, ready, HERE)
    qtbot.waitUntil(lambda: len(rows(chooser)) == 3)
    return chooser


def answer_box(chooser: ModelChooser, button: str) -> str:
    """Click the question's button of this name; returns what it said."""
    box = chooser.findChildren(QMessageBox)[-1]
    text = f"{box.text()} {box.informativeText()}".replace("\u200b", "")
    press_button(box, button)
    return text


def test_every_file_is_listed_with_size_state_and_owner_and_no_header_is_read_here(
    qtbot, files, read_here
):
    size, fit, state = rows(files)["SmolLM2-135M-Instruct Q4_1"]
    assert (size, state) == ("94 MB", "loaded")
    assert fit.startswith("fits · ")
    assert {note for *_, note in rows(files).values()} == {"loaded", "R1 Desk", "LM Studio"}
    qtbot.waitUntil(lambda: "free for models" in files.note.text())
    assert "in 3 models" in files.note.text()
    assert not read_here
    assert files.list.selected.name == "SmolLM2-135M-Instruct"
    assert "135M parameters" in files.pane.text.text()


def test_a_deleted_model_is_in_the_trash_and_enter_deletes_nothing(qtbot, files, mine, own_trash):
    click_row(files.list, "Tiny qwen2")
    qtbot.keyClick(files.list, Qt.Key.Key_Delete)
    box = files.findChild(QMessageBox)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not box.isVisible())
    qtbot.wait(100)
    assert mine.exists()
    click(files.pane.delete_button)
    assert str(mine) in answer_box(files, "Move to the trash")
    qtbot.waitUntil(lambda: not mine.exists())
    assert (own_trash / "mine.gguf").exists()
    qtbot.waitUntil(lambda: len(rows(files)) == 2)


def test_a_file_of_another_application_is_deleted_only_under_its_name(qtbot, files, theirs):
    click_row(files.list, "Tiny llama")
    click(files.pane.delete_button)
    assert "LM Studio will no longer have" in answer_box(files, "Delete for good")
    qtbot.waitUntil(lambda: not theirs.exists())


def test_without_a_trash_the_file_stays_and_the_reason_is_shown(qtbot, files, mine, tmp_path):
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").write_text("a file where the trash would be")
    click_row(files.list, "Tiny qwen2")
    click(files.pane.delete_button)
    answer_box(files, "Move to the trash")
    qtbot.waitUntil(lambda: "no trash" in files.notices.text)
    assert mine.exists()


def test_the_loaded_model_is_unloaded_before_it_can_be_deleted(
    qtbot, files, mine, ready, monkeypatch
):
    ready.models.choose(mine)
    qtbot.waitUntil(lambda: rows(files)["Tiny qwen2 F32"][2] == "loaded")
    click_row(files.list, "Tiny qwen2")
    shown: list[Path] = []
    monkeypatch.setattr(detail_pane, "show_in_folder", shown.append)
    click(files.pane.show_button)
    assert shown == [mine]
    assert not files.pane.delete_button.isEnabled()
    click(files.pane.unload_button)
    qtbot.waitUntil(lambda: ready.models.current is None)
    qtbot.waitUntil(files.pane.delete_button.isEnabled)


def test_a_click_loads_the_selected_file_and_closes_the_dialog(qtbot, files, mine, ready):
    click_row(files.list, "Tiny qwen2")
    click(files.pane.button)
    assert not files.isVisible()
    qtbot.waitUntil(lambda: ready.models.loaded_path == mine)


# ---- a repository -------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return tiny_qwen2(tmp_path / "tiny.gguf").read_bytes()


@pytest.fixture
def server(model: bytes) -> Iterator[HostileServer]:
    files = {"m-Q4_K_M.gguf": model, "m-Q8_0.gguf": model + bytes(64)}
    with hub_server(files).running() as running:
        yield running


@pytest.fixture
def hub(qtbot, ready) -> ModelChooser:
    ready.downloads.policy = QUICK
    return open_chooser(qtbot, ready, HUB)


def list_files(qtbot, hub, text):
    hub.name.setFocus()
    qtbot.keyClicks(hub.name, text)
    qtbot.keyClick(hub.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(rows(hub)))


def test_the_files_are_listed_with_fit_and_speed_and_the_type_asked_for_is_selected(
    qtbot, hub, server
):
    qtbot.keyClicks(hub.name, "just words")
    click(hub.list_button)
    assert "neither a repository nor" in hub.note.text()
    hub.name.clear()
    qtbot.keyClicks(hub.name, page(server))
    qtbot.wait(200)
    assert not server.requests, "nothing is sent before the files are asked for"
    list_files(qtbot, hub, ":Q8_0")
    assert all("fits · " in fit for _, fit, _ in rows(hub).values())
    assert list(rows(hub)) == ["m-Q4_K_M", "m-Q8_0"]
    assert hub.list.selected.quantisation == "Q8_0"
    assert "Q8_0" in hub.note.text()
    assert "Memory: " in hub.pane.text.text()
    assert hub.pane.address.text().endswith("/resolve/main/m-Q8_0.gguf")
    assert hub.list.hasFocus()
    hub.name.clear()
    qtbot.keyClicks(hub.name, f"{server.url}/no/such")
    click(hub.list_button)
    qtbot.waitUntil(lambda: "could not be listed" in hub.note.text())
    assert "404" in hub.note.text()


def test_a_click_downloads_and_verifies_the_selected_file(qtbot, ready, hub, server, model):
    list_files(qtbot, hub, page(server))
    with qtbot.waitSignal(ready.downloads.finished) as done:
        click(hub.pane.button)
    assert done.args[0].path.read_bytes() == model
    (row,) = ready.window.downloads.rows.values()
    assert "checked" in row.status.text()


def test_the_parts_of_a_split_model_are_all_downloaded(qtbot, ready, hub, tmp_path):
    parts = split(tiny_qwen2(tmp_path / "whole.gguf"), tmp_path / "parts", tensors=14)
    files = {path.name: path.read_bytes() for path in parts}
    with hub_server(files).running() as server:
        list_files(qtbot, hub, page(server))
        assert "2 parts" in hub.pane.text.text()
        click(hub.pane.button)
        folder = ready.downloads.folder
        qtbot.waitUntil(lambda: all((folder / name).exists() for name in files))


def test_a_closed_dialog_ends_the_query(qtbot, ready, hub, monkeypatch):
    stop = Stop()
    monkeypatch.setattr(chooser_presenter, "Stop", lambda: stop)

    def script(_request: object, reply: object) -> None:
        reply.wait(60)

    with HostileServer(script).running() as server:
        qtbot.keyClicks(hub.name, page(server))
        click(hub.list_button)
        qtbot.waitUntil(lambda: bool(server.requests))
        hub.reject()
        qtbot.waitUntil(lambda: stop.asked)
