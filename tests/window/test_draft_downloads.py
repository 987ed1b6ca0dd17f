"""A model's draft model in the window: one click downloads it, and the model is loaded with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue import download_spec
from deepseek_r1.catalogue.hub_reference import HubHost
from deepseek_r1.catalogue.known_models import KnownDraft, find_draft
from deepseek_r1.catalogue.retry_policy import RetryPolicy
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import MemoryReading
from r1desk.models import catalogue_survey
from r1desk.models.fit import MachineSpeed
from r1desk.models.widgets.catalogue_page import CataloguePage
from r1desk.models.widgets.model_card import ModelCard
from r1desk.preferences import Preferences
from r1desk.shell.session import Session
from support.hostile_server import HostileServer
from support.hub_server import hub_server
from window.session_fixture import running_session, wait_ready

QUICK = RetryPolicy(stall_s=30.0, least_bytes=64, first_tries=2, pause_s=0.01, loopback_http=True)
SEVEN = "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"


@pytest.fixture
def draft() -> KnownDraft:
    found = find_draft("deepseek-r1-draft-qwen2.5-0.5b")
    assert found is not None
    return found


# ---- with the model -----------------------------------------------------------------------------


@pytest.fixture
def page(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> CataloguePage:
    """The page for a budget of 2 GiB, under which the 7B runs from the disk."""
    speed = MachineSpeed(memory_mib_s=12_000.0, disk_mib_s=2_300.0, threads=2)
    monkeypatch.setattr(catalogue_survey, "machine_speed", lambda: speed)
    monkeypatch.setattr(
        catalogue_survey, "memory_reading", lambda: MemoryReading(32_000.0, 22_000.0)
    )
    made = CataloguePage(LoadSettings(memory_budget=2048))
    qtbot.addWidget(made)
    made.resize(760, 560)
    made.show()
    qtbot.waitUntil(lambda: bool(made.cards))
    return made


def requested_by(qtbot: QtBot, page: CataloguePage, click: object) -> list[str]:
    files: list[str] = []
    page.download_requested.connect(lambda spec: files.append(spec.file))
    qtbot.mouseClick(click, Qt.MouseButton.LeftButton)
    return files


def select(page: CataloguePage, model: str, quantisation: str) -> None:
    (top,) = page.table.tree.findItems(model, Qt.MatchFlag.MatchExactly)
    rows = [top.child(at) for at in range(top.childCount())]
    page.table.tree.setCurrentItem(next(row for row in rows if row.text(0) == quantisation))


def test_a_model_from_the_disk_is_downloaded_with_its_draft_model(
    qtbot: QtBot, page: CataloguePage, draft: KnownDraft
) -> None:
    qtbot.mouseClick(page.fold, Qt.MouseButton.LeftButton)
    select(page, "DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M")
    assert page.table.draft.isVisible()
    assert "about 400 MB more" in page.table.draft.text()
    assert draft.repository in page.table.draft.toolTip(), "the address is shown before the click"
    files = requested_by(qtbot, page, page.table.download_button)
    assert files == [draft.file, SEVEN]


def test_the_button_stays_in_view_when_a_file_is_selected(
    qtbot: QtBot, page: CataloguePage
) -> None:
    page.resize(760, 620)
    qtbot.mouseClick(page.fold, Qt.MouseButton.LeftButton)
    qtbot.wait(100)  # it scrolls to the table
    select(page, "DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M")
    qtbot.wait(100)  # the lines about the file have their place
    button = page.table.download_button
    qtbot.waitUntil(lambda: button.visibleRegion().boundingRect() == button.rect())


def test_without_the_check_mark_the_model_comes_alone(qtbot: QtBot, page: CataloguePage) -> None:
    qtbot.mouseClick(page.fold, Qt.MouseButton.LeftButton)
    select(page, "DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M")
    qtbot.mouseClick(page.table.draft, Qt.MouseButton.LeftButton)
    assert requested_by(qtbot, page, page.table.download_button) == [SEVEN]


def test_a_model_without_a_draft_model_offers_none(qtbot: QtBot, page: CataloguePage) -> None:
    qtbot.mouseClick(page.fold, Qt.MouseButton.LeftButton)
    select(page, "DeepSeek-R1-Distill-Qwen-7B", "Q4_K_M")
    select(page, "DeepSeek-R1-Distill-Llama-8B", "Q4_K_M")
    assert not page.table.draft.isVisible()
    assert len(requested_by(qtbot, page, page.table.download_button)) == 1


def test_a_card_offers_the_draft_model_too(
    qtbot: QtBot, page: CataloguePage, draft: KnownDraft
) -> None:
    offers = [card for card in page.cards if card.draft.isVisible()]
    for card in offers:
        assert card.file.model.draft == draft.id
        files = requested_by(qtbot, page, card.button)
        assert files == ([draft.file] if card.draft.isChecked() else []) + [card.file.file.file]
    assert {id(card) for card in offers} == {id(c) for c in page.cards if has_draft(c)}


def has_draft(card: ModelCard) -> bool:
    return card.file.model.draft is not None


# ---- for a model that is here -------------------------------------------------------------------


@pytest.fixture
def seven(starter: Path, own_profile: Path) -> Path:
    """The starter under the name of the 7B."""
    folder = own_profile / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(starter, folder / SEVEN))


def with_model(path: Path, stored: Preferences) -> None:
    stored.model_path = str(path)
    stored.panel_visible = True
    stored.load = LoadSettings(context_length=512)


@pytest.fixture
def hub(shallow_starter: Path, draft: KnownDraft, monkeypatch: pytest.MonkeyPatch) -> HostileServer:
    """A hub that has the first layers of the same model as the draft model."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    files = {draft.file: shallow_starter.read_bytes()}
    with hub_server(files, repository=draft.repository).running() as server:
        here = HubHost("here", server.url)
        monkeypatch.setattr(download_spec, "draft_hosts", lambda: (here,))
        yield server


def draft_of(session: Session) -> str:
    return Path(session.preferences.load.draft_model).name


def test_the_panel_downloads_it_and_the_model_is_loaded_with_it(
    qtbot: QtBot, own_profile: Path, seven: Path, hub: HostileServer, draft: KnownDraft
) -> None:
    with running_session(qtbot, own_profile, lambda stored: with_model(seven, stored)) as session:
        session.downloads.policy = QUICK
        wait_ready(qtbot, session)
        row = session.window.panel.load.rows["draft_model"]
        assert row.download.text() == "Download 400 MB"
        with qtbot.waitSignal(session.downloads.finished):
            qtbot.mouseClick(row.download, Qt.MouseButton.LeftButton)
        listed = session.window.downloads.rows[draft.file]
        assert listed.status.text() == "Downloaded and verified by its checksum."
        assert listed.load_button.text() == "Load the model with it"
        with qtbot.waitSignal(session.models.loaded):
            qtbot.mouseClick(listed.load_button, Qt.MouseButton.LeftButton)
        assert draft_of(session) == draft.file
        assert row.button.text() == draft.file
        assert not row.download.isVisibleTo(row)
        assert any(line.name == "draft" for line in session.models.current.bill.lines)


def test_a_model_that_is_chosen_later_is_loaded_with_the_draft_model_beside_it(
    qtbot: QtBot, own_profile: Path, seven: Path, shallow_starter: Path, draft: KnownDraft
) -> None:
    shutil.copy(shallow_starter, seven.with_name(draft.file))
    with running_session(qtbot, own_profile) as session:
        wait_ready(qtbot, session)
        with qtbot.waitSignal(session.models.loaded):
            session.models.choose(seven)
        assert draft_of(session) == draft.file
        row = session.window.panel.load.rows["draft_model"]
        row.none.click()
        with qtbot.waitSignal(session.models.loaded):
            session.window.panel.message.apply_button.click()
        assert draft_of(session) == ""
        with qtbot.waitSignal(session.models.loaded):
            session.models.choose(session.recent_models.items[-1].path)
        with qtbot.waitSignal(session.models.loaded):
            session.models.choose(seven)
        assert draft_of(session) == "", "that it was removed is remembered"


def test_a_draft_model_of_another_model_has_no_button(
    qtbot: QtBot, own_profile: Path, hub: HostileServer, draft: KnownDraft
) -> None:
    with running_session(qtbot, own_profile) as session:
        session.downloads.policy = QUICK
        wait_ready(qtbot, session)
        with qtbot.waitSignal(session.downloads.finished):
            session.downloads.start(download_spec.spec_for_draft(draft))
        listed = session.window.downloads.rows[draft.file]
        assert listed.status.text() == "Downloaded and verified by its checksum."
        assert not listed.load_button.isVisible()
