"""Downloads in the window: asked for by a click, paused, resumed, cancelled, loaded, remembered."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue.download_spec import (
    DownloadPhase,
    DownloadProgress,
    DownloadSpec,
    find_known,
    spec_for_known,
)
from deepseek_r1.catalogue.partial_file import STAGING
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.processes import ChildKind
from r1desk.models.downloads import Download, Downloads, DownloadState
from r1desk.platform import helper_processes
from support.hostile_server import QUICK, Halting, HostileServer, Reply, Request
from support.processes import programs_below
from window.mouse_and_keys import click
from window.session_fixture import first_start, ready_session, running_session, wait_ready

pytestmark = pytest.mark.usefixtures("no_proxy", "known_speed")
FILE = "model.gguf"


@pytest.fixture(scope="module")
def content(shallow_starter: Path) -> bytes:
    return shallow_starter.read_bytes()


def order(server: HostileServer, content: bytes, file: str = FILE) -> DownloadSpec:
    digest = digest_of(content)
    return DownloadSpec(f"{server.url}/{file}", file, digest, len(content), size_exact=True)


@cache
def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(content: bytes) -> Iterator[HostileServer]:
    """It halts in the middle of the first answer."""
    with HostileServer(Halting(content)).running() as running:
        yield running


@pytest.fixture
def spec(server: HostileServer, content: bytes) -> DownloadSpec:
    return order(server, content)


def state_of(downloads: Downloads, file: str = FILE) -> DownloadState | None:
    return next((each.state for each in downloads.items if each.spec.file == file), None)


def wait_state(qtbot, downloads, state, file=FILE):
    qtbot.waitUntil(lambda: state_of(downloads, file) is state)


def wait_halted(qtbot: QtBot, downloads: Downloads) -> None:
    qtbot.waitUntil(lambda: downloads.items[0].progress.done_bytes >= 16 << 20)


def pause_halfway(qtbot: QtBot, downloads: Downloads, spec: DownloadSpec) -> None:
    downloads.start(spec)
    wait_halted(qtbot, downloads)
    downloads.pause(FILE)
    wait_state(qtbot, downloads, DownloadState.PAUSED)


@pytest.fixture
def downloads(qtbot: QtBot, own_profile: Path) -> Downloads:
    made = Downloads(own_profile / "models")
    made.policy = QUICK
    yield made
    made.close()


def test_a_download_is_paused_resumed_and_done(qtbot, downloads, content, server, spec):
    """Checking counts from 0 again; what would be deleted is all of the part."""
    pause_halfway(qtbot, downloads, spec)
    seen = []
    downloads.changed.connect(lambda: seen.append(downloads.items[0]))
    with qtbot.waitSignal(downloads.finished) as done:
        downloads.resume(FILE)
    assert done.args[0].path.read_bytes() == content
    assert server.requests[1].start >= 16 << 20
    assert state_of(downloads) is DownloadState.DONE
    checked = [each for each in seen if each.progress.phase is DownloadPhase.CHECKING]
    assert min(each.progress.done_bytes for each in checked) < 16 << 20
    assert min(each.part_bytes for each in seen) >= 16 << 20


def test_a_cancelled_download_leaves_nothing(qtbot, downloads, spec):
    downloads.start(spec)
    wait_halted(qtbot, downloads)
    downloads.delete(FILE)
    wait_state(qtbot, downloads, None)
    staging = downloads.folder / STAGING
    qtbot.waitUntil(lambda: not list(staging.glob("*.journal")))
    assert not list(staging.glob("*.part"))


def test_one_at_a_time_in_the_order_asked(qtbot, downloads, content, server, spec):
    downloads.start(spec)
    downloads.start(order(server, content, "second.gguf"))
    wait_halted(qtbot, downloads)
    assert state_of(downloads, "second.gguf") is DownloadState.QUEUED
    downloads.pause(FILE)
    wait_state(qtbot, downloads, DownloadState.DONE, "second.gguf")
    assert state_of(downloads) is DownloadState.PAUSED


def test_a_failed_download_says_why_and_can_be_tried_again(qtbot, downloads, content):
    def script(request: Request, reply: Reply) -> None:
        if request.number:
            reply.file(content)
        else:
            reply.head(404, "Content-Length: 0")

    with HostileServer(script).running() as server:
        downloads.start(order(server, content))
        wait_state(qtbot, downloads, DownloadState.FAILED)
        assert "no such file" in downloads.items[0].report.text()
        with qtbot.waitSignal(downloads.finished):
            downloads.resume(FILE)


def network_process() -> psutil.Process:
    """The process of the running download."""
    (found,) = programs_below(os.getpid(), ChildKind.NETWORK.value.module)
    return found


def test_the_end_does_not_wait_for_a_process_that_hangs(qtbot, downloads, content, server, spec):
    downloads.start(spec)
    downloads.start(order(server, content, "second.gguf"))
    wait_halted(qtbot, downloads)
    process = network_process()
    process.suspend()
    # On Windows it is suspended when the call returns, and Wine does not show it.
    stopped = psutil.STATUS_RUNNING if sys.platform == "win32" else psutil.STATUS_STOPPED
    qtbot.waitUntil(lambda: process.status() == stopped)
    downloads.close()
    assert process.status() == stopped
    wait_state(qtbot, downloads, DownloadState.PAUSED)
    assert not process.is_running()
    assert state_of(downloads, "second.gguf") is DownloadState.QUEUED
    assert len(server.requests) == 1


def test_the_process_of_a_download_counts_as_the_windows_memory(qtbot, downloads, spec):
    downloads.start(spec)
    wait_halted(qtbot, downloads)
    pid = network_process().pid
    assert pid in helper_processes._running
    downloads.pause(FILE)
    wait_state(qtbot, downloads, DownloadState.PAUSED)
    assert pid not in helper_processes._running


def test_a_half_download_survives_a_restart_and_then_talks(
    qtbot: QtBot, own_profile: Path, content: bytes, server: HostileServer, spec: DownloadSpec
) -> None:
    size = f"{len(content) / (1 << 20):.0f} MB"
    with running_session(qtbot, own_profile) as session:
        session.downloads.policy = QUICK
        session.downloads.start(spec)
        wait_halted(qtbot, session.downloads)
        assert f"of {size}" in session.window.downloads.rows[FILE].status.text()
    with running_session(qtbot, own_profile) as session:
        session.downloads.policy = QUICK
        wait_ready(qtbot, session)
        wait_state(qtbot, session.downloads, DownloadState.PAUSED)
        row = session.window.downloads.rows[FILE]
        assert row.isVisible()
        assert re.match(rf"Paused at (1\d|20) MB of {size}", row.status.text())
        assert len(server.requests) == 1  # nothing goes on by itself
        click(row.delete_button)
        box = QApplication.activeModalWidget()
        assert "already downloaded" in box.text()
        box.reject()
        row.resume_button.click()
        wait_state(qtbot, session.downloads, DownloadState.DONE)
        with qtbot.waitSignal(session.models.loaded) as loaded:
            row.load_button.click()
        assert Path(loaded.args[0].facts.path) == own_profile / "models" / FILE
        assert not session.window.downloads.isVisible()


def test_the_cross_of_a_failed_download_hides_it_and_keeps_its_part(qtbot, own_profile, content):
    halting = Halting(content)

    def script(request: Request, reply: Reply) -> None:
        if request.number:
            reply.head(404, "Content-Length: 0")
        else:
            halting(request, reply)

    with HostileServer(script).running() as server, running_session(
        qtbot, own_profile
    ) as session:  # fmt: skip
        session.downloads.policy = QUICK
        session.downloads.start(order(server, content))
        wait_halted(qtbot, session.downloads)
        row = session.window.downloads.rows[FILE]
        assert not row.dismiss_button.isVisible(), "what runs is paused or deleted, not hidden"
        click(row.pause_button)
        wait_state(qtbot, session.downloads, DownloadState.PAUSED)
        click(row.resume_button)
        wait_state(qtbot, session.downloads, DownloadState.FAILED)
        assert row.resume_button.text() == "Try again"
        click(row.dismiss_button)
        assert QApplication.activeModalWidget() is None
        wait_state(qtbot, session.downloads, None)
        assert not session.window.downloads.isVisible()
        assert list((session.downloads.folder / STAGING).glob("*.part"))


def test_a_failed_download_of_the_catalogue_can_be_had_from_another_host(session, monkeypatch):
    spec = spec_for_known(*find_known("deepseek-r1-distill-qwen-1.5b/Q4_K_M"), "Hugging Face")
    failed = Download(
        spec,
        DownloadState.FAILED,
        DownloadProgress(spec.file, DownloadPhase.RECEIVING, 0, spec.size_bytes),
    )
    session.downloads._all[spec.file] = failed
    started: list[DownloadSpec] = []

    def start(other: DownloadSpec, *, load_after: bool) -> None:
        started.append(other)

    monkeypatch.setattr(session.downloads, "start", start)
    session.downloads.changed.emit()
    row = session.window.downloads.rows[spec.file]
    assert row.other_button.text() == "From hf-mirror instead"
    click(row.other_button)
    assert [other.url.split("/")[2] for other in started] == ["hf-mirror.com"]
    assert started[0].sha256 == spec.sha256


# ---- the first start


@pytest.mark.usefixtures("known_speed")
def test_the_first_start_goes_on_with_the_starter_at_a_click_and_asks_once(qtbot, own_profile):
    with running_session(qtbot, own_profile, first_start) as session:
        card = session.window.chat.welcome.card
        qtbot.waitUntil(card.isVisible)
        assert card.starter_button.isVisible(), "nothing has to be known for that"
        assert not session.downloads.items  # nothing is fetched by itself
        card.starter_button.click()
        assert not card.isVisible()
        assert session.window.composer.isAncestorOf(session.window.focusWidget())
    with ready_session(qtbot, own_profile) as session:
        qtbot.wait(300)
        assert session.window.chat.welcome.card is None


@pytest.mark.usefixtures("known_speed")
def test_the_card_offers_a_model_with_its_bill_and_speed_and_a_click_downloads_and_loads_it(
    qtbot, own_profile, content, monkeypatch
):
    with HostileServer(lambda _, reply: reply.file(content)).running() as server:
        monkeypatch.setattr(
            "deepseek_r1.catalogue.model_file.spec_for_known",
            lambda _model, file, _host: order(server, content, file.file),
        )
        with running_session(qtbot, own_profile, first_start) as session:
            session.downloads.policy = QUICK
            wait_ready(qtbot, session)
            card = session.window.chat.welcome.card
            qtbot.waitUntil(card.button.isVisible)
            assert "DeepSeek-R1-Distill-Qwen-1.5B" in card.summary.name.text()
            fit, speed, memory = (chip.text() for chip in card.summary.chips)
            assert fit == "fits"
            assert speed.endswith("tok/s")
            assert memory.endswith("of memory")
            with qtbot.waitSignal(session.models.loaded) as loaded:
                card.button.click()
            assert Path(loaded.args[0].facts.path).parent == own_profile / "models"
            assert "DeepSeek-R1-Distill-Qwen-1.5B" in loaded.args[0].facts.path
            assert session.preferences.welcomed


@pytest.mark.usefixtures("known_speed")
def test_the_card_speaks_chinese_and_goes_to_china(qtbot: QtBot, own_profile: Path) -> None:
    use_language("zh_CN")
    with running_session(qtbot, own_profile, first_start) as session:
        card = session.window.chat.welcome.card
        qtbot.waitUntil(card.button.isVisible)
        assert "modelscope.cn" in card.source.text()
        assert card.button.text().startswith("下载")
