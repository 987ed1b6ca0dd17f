"""Any model by name or address: listed on request, with size and fit, downloaded by a click."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QTreeWidgetItem
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue.checksums import Stop
from r1desk.models.widgets import hub_page
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.models.widgets.hub_page import HubPage
from r1desk.shell.session import Session
from support.gguf_files import tiny_qwen2
from support.hostile_server import QUICK, HostileServer, hub_server, page
from support.split import split
from window.catalogue_pages import open_chooser
from window.mouse_and_keys import click

pytestmark = pytest.mark.usefixtures("no_proxy", "known_speed")


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return tiny_qwen2(tmp_path / "tiny.gguf").read_bytes()


@pytest.fixture
def server(model: bytes) -> Iterator[HostileServer]:
    files = {"m-Q4_K_M.gguf": model, "m-Q8_0.gguf": model + bytes(64)}
    with hub_server(files).running() as running:
        yield running


@pytest.fixture
def hub(qtbot: QtBot, ready: Session) -> HubPage:
    ready.downloads.policy = QUICK
    return open_chooser(qtbot, ready, "hub")


def rows(page: HubPage) -> list[QTreeWidgetItem]:
    return [page.tree.topLevelItem(at) for at in range(page.tree.topLevelItemCount())]


def list_files(qtbot: QtBot, hub: HubPage, text: str) -> None:
    hub.name.setFocus()
    qtbot.keyClicks(hub.name, text)
    qtbot.keyClick(hub.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(rows(hub)))


def test_the_files_are_listed_with_fit_and_speed_and_the_type_asked_for_is_selected(
    qtbot: QtBot, hub: HubPage, server: HostileServer
) -> None:
    qtbot.keyClicks(hub.name, page(server))
    qtbot.wait(200)
    assert not server.requests, "nothing is sent before the files are asked for"
    list_files(qtbot, hub, ":Q8_0")
    qtbot.waitUntil(lambda: all("tok/s" in row.text(3) for row in rows(hub)))
    assert [row.text(0) for row in rows(hub)] == ["m-Q4_K_M.gguf", "m-Q8_0.gguf"]
    assert rows(hub)[0].text(3).startswith("fits")
    assert hub.tree.selected is not None
    assert hub.tree.selected.quantisation == "Q8_0"
    assert "Q8_0 is the most exact that runs here" in hub.note.text()
    assert "MiB of the budget" in hub.detail.text()
    assert hub.address.text().endswith("/resolve/main/m-Q8_0.gguf")
    assert hub.tree.hasFocus()


def test_a_click_downloads_and_verifies_the_selected_file(qtbot, ready, hub, server, model):
    list_files(qtbot, hub, page(server))
    with qtbot.waitSignal(ready.downloads.finished) as done:
        click(hub.download_button)
    assert done.args[0].path.read_bytes() == model
    rows = hub.window().downloads.list.rows
    qtbot.waitUntil(lambda: bool(rows))
    assert "verified" in next(iter(rows.values())).status.text()


def test_the_parts_of_a_split_model_are_all_downloaded(qtbot, ready, hub, tmp_path):
    parts = split(tiny_qwen2(tmp_path / "whole.gguf"), tmp_path / "parts", tensors=14)
    files = {path.name: path.read_bytes() for path in parts}
    with hub_server(files).running() as server:
        list_files(qtbot, hub, page(server))
        assert "2 parts" in hub.detail.text()
        click(hub.download_button)
        folder = ready.downloads.folder
        qtbot.waitUntil(lambda: all((folder / name).exists() for name in files))


def test_a_mistyped_name_and_a_missing_repository_have_a_reason(qtbot, hub, server):
    qtbot.keyClicks(hub.name, "just words")
    click(hub.list_button)
    assert "neither a repository nor" in hub.note.text()
    assert not server.requests
    hub.name.clear()
    qtbot.keyClicks(hub.name, f"{server.url}/no/such")
    click(hub.list_button)
    qtbot.waitUntil(lambda: "could not be listed" in hub.note.text())
    assert "404" in hub.note.text()


def test_a_file_without_a_checksum_is_downloaded_only_after_a_question(qtbot, ready, hub):
    qtbot.keyClicks(hub.name, "https://example.com/models/some.gguf")
    click(hub.list_button)
    assert [row.text(0) for row in rows(hub)] == ["some.gguf"]
    click(hub.download_button)
    box = hub.findChild(QMessageBox)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not box.isVisible())
    assert not ready.downloads.items


def test_a_closed_dialog_ends_the_query(
    qtbot: QtBot, ready: Session, hub: HubPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    monkeypatch.setattr(hub_page, "Stop", lambda: stop)

    def script(_request: object, reply: object) -> None:
        reply.wait(60)

    with HostileServer(script).running() as server:
        qtbot.keyClicks(hub.name, page(server))
        click(hub.list_button)
        qtbot.waitUntil(lambda: bool(server.requests))
        ready.window.findChild(ModelChooser).reject()
        qtbot.waitUntil(lambda: stop.asked)
