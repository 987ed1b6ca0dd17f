"""A model's draft model in the window: one click downloads it, and the model is loaded with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.catalogue import download_spec
from deepseek_r1.catalogue.hub_reference import HubHost
from deepseek_r1.catalogue.known_models import KnownDraft, find_draft
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.protocol import LoadRequest
from r1desk.preferences import Preferences
from r1desk.shell.session import Session
from support.gguf_files import tiny_llama
from support.hostile_server import QUICK, HostileServer, hub_server
from window.mouse_and_keys import click
from window.session_fixture import running_session, wait_ready

SEVEN = "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"


@pytest.fixture
def draft() -> KnownDraft:
    found = find_draft("deepseek-r1-draft-qwen2.5-0.5b")
    assert found is not None
    return found


@pytest.fixture
def seven(own_profile: Path) -> Path:
    """A file under the name of the 7B."""
    (own_profile / "models").mkdir(parents=True, exist_ok=True)
    return tiny_llama(own_profile / "models" / SEVEN)


@pytest.fixture
def hub(tmp_path, draft, no_proxy, monkeypatch) -> Iterator[HostileServer]:
    """A hub that has a file as the draft model."""
    files = {draft.file: tiny_llama(tmp_path / "hub.gguf").read_bytes()}
    with hub_server(files, repository=draft.repository).running() as server:
        here = HubHost("here", server.url)
        monkeypatch.setattr(download_spec, "draft_hosts", lambda: (here,))
        yield server


def draft_of(session: Session) -> str:
    return Path(session.preferences.load.draft_model).name


@pytest.fixture
def with_seven(seven):
    def stored(preferences: Preferences) -> None:
        preferences.model_path = str(seven)
        preferences.panel_visible = True
        preferences.load = LoadSettings(context_length=512)

    return stored


def test_the_panel_downloads_it_and_the_model_is_loaded_with_it(
    qtbot, own_profile, engine, with_seven, hub, draft
):
    with running_session(qtbot, own_profile, with_seven, engine) as session:
        session.downloads.policy = QUICK
        wait_ready(qtbot, session)
        row = session.window.panel.load.draft_model
        assert row.offered.text() == "Download about 0.4 GB"
        assert str(draft.origin) in row.offered.toolTip(), "its licence is stated there"
        row.offered.setFocus()
        with qtbot.waitSignal(session.downloads.finished):
            row.offered.click()
            assert row.offered.text() == "Downloading…"
        assert row.offered.text() == "Load with it"
        listed = session.window.downloads.rows[draft.file]
        assert listed.status.text() == "Downloaded and checked."
        assert not listed.load_button.isVisible()  # it does not chat
        with qtbot.waitSignal(session.models.loaded):
            row.offered.click()
        assert draft_of(session) == draft.file
        assert row.button.text() == draft.file
        assert not row.offered.isVisibleTo(row)
        assert engine.received(LoadRequest)[-1].settings.draft_model.endswith(draft.file)


def test_a_draft_model_of_an_earlier_session_is_not_downloaded_again(
    qtbot, own_profile, engine, with_seven, draft
):
    tiny_llama(own_profile / "models" / draft.file)
    with running_session(qtbot, own_profile, with_seven, engine) as session:
        wait_ready(qtbot, session)
        row = session.window.panel.load.draft_model
        qtbot.waitUntil(lambda: row.offered.text() == "Load with it")
        with qtbot.waitSignal(session.models.loaded):
            click(row.offered)
        assert draft_of(session) == draft.file
