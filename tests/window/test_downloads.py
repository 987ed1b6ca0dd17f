"""Downloads in the window: asked for by a click, paused, resumed, cancelled, loaded, remembered."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue.half import STAGING
from deepseek_r1.catalogue.models import known_models
from deepseek_r1.catalogue.orders import Order
from deepseek_r1.catalogue.rules import Rules
from deepseek_r1.core.words import use_language
from r1desk.desk import Desk
from r1desk.downloads import Downloads, State
from r1desk.library.catalogue_page import ENTRY_ROLE
from r1desk.library.chooser import ModelChooser
from r1desk.preferences import Preferences
from support.hostile_server import HostileServer, Reply, Request
from window.desk_fixture import running_desk, wait_ready

QUICK = Rules(stall_s=30.0, least_bytes=64, first_tries=2, pause_s=0.01, loopback_http=True)
FILE = "model.gguf"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def content(starter: Path) -> bytes:
    return starter.read_bytes()


def order(server: HostileServer, content: bytes, file: str = FILE) -> Order:
    digest = hashlib.sha256(content).hexdigest()
    return Order(f"{server.url}/{file}", file, digest, len(content), size_exact=True)


class Halting:
    """Sends 20 MB to the first request and then nothing; later ones get all."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __call__(self, request: Request, reply: Reply) -> None:
        reply.file(self.content, limit=None if request.number else 20_000_000)
        if not request.number:
            reply.wait(60)


def state_of(downloads: Downloads, file: str = FILE) -> State | None:
    return next((each.state for each in downloads.items if each.order.file == file), None)


def wait_state(qtbot: QtBot, downloads: Downloads, state: State | None, file: str = FILE) -> None:
    qtbot.waitUntil(lambda: state_of(downloads, file) is state, timeout=20_000)


def wait_halted(qtbot: QtBot, downloads: Downloads) -> None:
    qtbot.waitUntil(lambda: downloads.items[0].progress.done_bytes > 16_000_000, timeout=20_000)


@pytest.fixture
def downloads(qtbot: QtBot, own_profile: Path) -> Downloads:
    made = Downloads(own_profile / "models")
    made.rules = QUICK
    yield made
    made.close()


def test_a_download_is_paused_resumed_and_done(
    qtbot: QtBot, downloads: Downloads, content: bytes
) -> None:
    with HostileServer(Halting(content)).running() as server:
        downloads.start(order(server, content))
        wait_halted(qtbot, downloads)
        downloads.pause(FILE)
        wait_state(qtbot, downloads, State.PAUSED)
        with qtbot.waitSignal(downloads.finished, timeout=20_000) as done:
            downloads.resume(FILE)
        assert done.args[0].path.read_bytes() == content
        assert server.requests[1].start >= 16 << 20
        assert state_of(downloads) is State.DONE


def test_a_cancelled_download_leaves_nothing(
    qtbot: QtBot, downloads: Downloads, content: bytes
) -> None:
    with HostileServer(Halting(content)).running() as server:
        downloads.start(order(server, content))
        wait_halted(qtbot, downloads)
        downloads.cancel(FILE)
        wait_state(qtbot, downloads, None)
        staging = downloads.folder / STAGING
        qtbot.waitUntil(lambda: not list(staging.glob("*.journal")), timeout=5_000)
        assert not list(staging.glob("*.part"))


def test_one_at_a_time_in_the_order_asked(
    qtbot: QtBot, downloads: Downloads, content: bytes
) -> None:
    with HostileServer(Halting(content)).running() as server:
        downloads.start(order(server, content))
        downloads.start(order(server, content, "second.gguf"))
        wait_halted(qtbot, downloads)
        assert state_of(downloads, "second.gguf") is State.QUEUED
        downloads.pause(FILE)
        wait_state(qtbot, downloads, State.DONE, "second.gguf")
        assert state_of(downloads) is State.PAUSED


def test_a_failed_download_says_why_and_can_be_tried_again(
    qtbot: QtBot, downloads: Downloads, content: bytes
) -> None:
    def script(request: Request, reply: Reply) -> None:
        if request.number:
            reply.file(content)
        else:
            reply.head(404, "Content-Length: 0")

    with HostileServer(script).running() as server:
        with qtbot.waitSignal(downloads.failed, timeout=10_000) as failed:
            downloads.start(order(server, content))
        assert "no such file" in failed.args[0].report.text()
        with qtbot.waitSignal(downloads.finished, timeout=10_000):
            downloads.resume(FILE)


def dialog(kind: type) -> object:
    found = QApplication.activeModalWidget()
    assert isinstance(found, kind)
    return found


def test_a_half_download_survives_a_restart_and_then_talks(
    qtbot: QtBot, own_profile: Path, content: bytes
) -> None:
    with HostileServer(Halting(content)).running() as server:
        with running_desk(qtbot, own_profile) as desk:
            desk.downloads.rules = QUICK
            desk.downloads.start(order(server, content))
            wait_halted(qtbot, desk.downloads)
            assert "of 98 MB" in desk.window.downloads.rows[FILE].words.text()
        with running_desk(qtbot, own_profile) as desk:
            desk.downloads.rules = QUICK
            wait_ready(qtbot, desk)
            wait_state(qtbot, desk.downloads, State.PAUSED)
            row = desk.window.downloads.rows[FILE]
            assert row.isVisible()
            assert re.match(r"Paused at (1\d|20) MB of 98 MB", row.words.text())
            assert len(server.requests) == 1  # nothing goes on by itself
            row.resume_button.click()
            wait_state(qtbot, desk.downloads, State.DONE)
            with qtbot.waitSignal(desk.models.loaded, timeout=20_000) as loaded:
                row.load_button.click()
            assert Path(loaded.args[0].facts.path) == own_profile / "models" / FILE
            assert not desk.window.downloads.isVisible()


def test_much_that_has_come_is_deleted_only_after_a_question(
    qtbot: QtBot, own_profile: Path, content: bytes
) -> None:
    with HostileServer(Halting(content)).running() as server, running_desk(
        qtbot, own_profile
    ) as desk:  # fmt: skip
        desk.downloads.rules = QUICK
        desk.downloads.start(order(server, content))
        wait_halted(qtbot, desk.downloads)
        desk.window.downloads.rows[FILE].cancel_button.click()
        dialog(QMessageBox).reject()
        assert state_of(desk.downloads) is State.RUNNING
        desk.window.downloads.rows[FILE].cancel_button.click()
        box = dialog(QMessageBox)
        next(b for b in box.findChildren(QPushButton) if b.text() == "Delete").click()
        wait_state(qtbot, desk.downloads, None)


def chooser_of(desk: Desk) -> ModelChooser:
    desk.window.models_action.trigger()
    chooser = dialog(ModelChooser)
    chooser.tabs.setCurrentIndex(1)
    return chooser


def select(chooser: ModelChooser, model_id: str, quantisation: str) -> None:
    tree = chooser.catalogue.tree
    for top in range(tree.topLevelItemCount()):
        for index in range(tree.topLevelItem(top).childCount()):
            item = tree.topLevelItem(top).child(index)
            model, file = item.data(0, ENTRY_ROLE)
            if (model.id, file.quantisation) == (model_id, quantisation):
                tree.setCurrentItem(item)
                return
    raise AssertionError(f"{model_id} {quantisation} is not listed")


def test_the_catalogue_shows_address_size_room_and_bill_before_anything_is_fetched(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_desk(qtbot, own_profile) as desk:
        asked: list[Order] = []
        desk.downloads.start = asked.append  # the network stays out of it
        chooser = chooser_of(desk)
        page = chooser.catalogue
        page.download_requested.disconnect()
        page.download_requested.connect(asked.append)
        select(chooser, "deepseek-r1-distill-qwen-7b", "Q4_K_M")
        qtbot.waitUntil(lambda: "free on the drive" in page.detail.text(), timeout=5_000)
        assert "4.68 GB to download" in page.detail.text()
        assert "MiB of the budget of 2,048 MiB" in page.detail.text()
        assert page.address.text().replace("\u200b", "").startswith("https://huggingface.co/")
        page.download_button.click()
        (wanted,) = asked
        assert wanted.url == page.address.text().replace("\u200b", "")
        page.source.setCurrentText("ModelScope")
        page.download_button.click()
        assert asked[1].url.startswith("https://modelscope.cn/")
        chooser.reject()


def test_a_file_without_a_checksum_is_fetched_only_after_a_warning(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_desk(qtbot, own_profile) as desk:
        chooser = chooser_of(desk)
        page = chooser.catalogue
        asked: list[Order] = []
        page.download_requested.disconnect()
        page.download_requested.connect(asked.append)
        select(chooser, "deepseek-r1-0528-qwen3-8b", "Q8_0")
        page.download_button.click()
        dialog(QMessageBox).reject()
        assert asked == []
        page.download_button.click()
        box = dialog(QMessageBox)
        texts = {b.text(): b for b in box.findChildren(QPushButton)}
        texts["Download all the same"].click()
        assert [each.accept_unverified for each in asked] == [True]
        chooser.reject()


# ---- the first start


def first(stored: Preferences) -> None:
    stored.welcomed = False


def test_the_first_start_offers_a_model_with_its_bill_and_speed(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_desk(qtbot, own_profile, first) as desk:
        card = desk.window.chat.welcome.card
        qtbot.waitUntil(card.isVisible, timeout=5_000)
        assert "DeepSeek-R1-Distill-Qwen-1.5B" in card.heading.text()
        assert "MiB of the budget of 2,048 MiB" in card.facts.text()
        assert "huggingface.co" in card.address.text()
        qtbot.waitUntil(lambda: "tokens a second" in card.speed.text(), timeout=30_000)
        assert not desk.downloads.items  # nothing is fetched by itself
        card.starter_button.click()
        assert not card.isVisible()
    with running_desk(qtbot, own_profile) as desk:
        wait_ready(qtbot, desk)
        qtbot.wait(300)
        assert not desk.window.chat.welcome.card.isVisible()


def test_download_and_start_does_both(
    qtbot: QtBot, own_profile: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = known_models()[0]
    with HostileServer(lambda _, reply: reply.file(content)).running() as server:
        monkeypatch.setattr(
            "r1desk.library.survey.order_known",
            lambda _model, file: order(server, content, file.file),
        )
        with running_desk(qtbot, own_profile, first) as desk:
            desk.downloads.rules = QUICK
            wait_ready(qtbot, desk)
            card = desk.window.chat.welcome.card
            qtbot.waitUntil(card.isVisible, timeout=5_000)
            with qtbot.waitSignal(desk.models.loaded, timeout=30_000) as loaded:
                card.download_button.click()
            assert Path(loaded.args[0].facts.path).parent == own_profile / "models"
            assert model.name in loaded.args[0].facts.path
            assert desk.preferences.welcomed


def test_the_card_speaks_chinese_and_goes_to_china(qtbot: QtBot, own_profile: Path) -> None:
    use_language("zh_CN")
    with running_desk(qtbot, own_profile, first) as desk:
        card = desk.window.chat.welcome.card
        qtbot.waitUntil(card.isVisible, timeout=5_000)
        assert "modelscope.cn" in card.address.text()
        assert card.download_button.text() == "下载并开始"
