"""A profile that cannot be written, is full, is damaged, or has an unusual name.

Reading works wherever there is something to read; what was written is never lost; the reason is
said in the window.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk import unsaved
from r1desk.desk import Desk
from r1desk.store import MessageState, Profile, Store
from support.gguf_files import tiny_llama
from window.desk_fixture import ask, running_desk, short_answers, wait_answered, wait_ready
from window.disks import Disk

pytestmark = pytest.mark.native

HELLO, REPLY = "Hello from before.", "An answer from before."


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", size_kib=2048)
    yield disk
    disk.remove()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsaved, "RETRY_MS", 200)


def fill_profile(folder: Path) -> None:
    """A profile with one short conversation, closed properly."""
    with Profile.open(folder) as held, Store(held.database) as store:
        conversation = store.create_conversation().id
        asked = store.append_user(conversation, HELLO, None)
        answer = store.begin_answer(conversation, asked.id, "model")
        store.finish_answer(answer.id, REPLY, "", 0.0, None, MessageState.COMPLETE)
        store.remember("last_conversation", conversation)


def notice(desk: Desk) -> str:
    shown = desk.window.notices.notice
    return shown.text if shown is not None else ""


def texts(desk: Desk) -> list[str]:
    return [message.content for message in desk.chat.shown_branch]


# ---- read-only ------------------------------------------------------------------------------


def test_a_read_only_profile_can_be_read_and_says_why_nothing_can_be_sent(
    qtbot: QtBot, disk: Disk
) -> None:
    profile = disk.folder / "profile"
    fill_profile(profile)
    disk.set_writable(False)
    with running_desk(qtbot, profile) as desk:
        qtbot.waitUntil(lambda: texts(desk) == [HELLO, REPLY], timeout=10_000)
        assert "cannot be written" in notice(desk)
        assert str(profile) in notice(desk)
        wait_ready(qtbot, desk)
        composer = desk.window.composer
        qtbot.keyClicks(composer.editor, "May I?")
        qtbot.keyClick(composer.editor, Qt.Key.Key_Return)
        qtbot.wait(700)
        assert composer.text() == "May I?", "what was typed stays"
        assert not composer._button.isEnabled()
        assert "cannot be written" in composer._button.toolTip()
        assert "cannot be written" in notice(desk), "and nothing else is complained about"
        desk.window.sidebar.search.setText("before")
        rows = desk.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 1, timeout=5_000)
        desk.chat.new_chat()
        qtbot.waitUntil(lambda: desk.chat.shown_branch == [], timeout=5_000)
        desk.chat.open(1)
        qtbot.waitUntil(lambda: composer.text() == "May I?", timeout=5_000)
        desk.window.chat.edit_requested.emit(desk.chat.shown_branch[0].id, "Another wording.")
        qtbot.waitUntil(lambda: "Another wording." in composer.text(), timeout=5_000)
        desk.window.language_chosen.emit("en")  # builds the window anew
        qtbot.wait(100)
        assert "cannot be written" in desk.window.composer._button.toolTip()
    disk.set_writable(True)
    with running_desk(qtbot, profile, short_answers) as desk:
        qtbot.waitUntil(lambda: texts(desk) == [HELLO, REPLY], timeout=10_000)
        ask(qtbot, desk, "And now?")
        wait_answered(qtbot, desk)
        assert len(desk.chat.shown_branch) == 4


# ---- full -----------------------------------------------------------------------------------


def test_a_message_that_finds_the_disk_full_comes_back_and_can_be_sent_later(
    qtbot: QtBot, disk: Disk
) -> None:
    profile = disk.folder / "profile"
    fill_profile(profile)
    with running_desk(qtbot, profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        qtbot.waitUntil(lambda: texts(desk) == [HELLO, REPLY], timeout=10_000)
        disk.fill()
        long = "Tell me. " * 2000
        desk.window.composer.set_text(long)
        with qtbot.waitSignal(desk.chat.send_failed, timeout=10_000):
            desk.window.composer.submit()
        assert desk.window.composer.text() == long
        assert "the drive is full" in notice(desk)
        assert texts(desk) == [HELLO, REPLY]
        desk.chat.new_chat()
        qtbot.waitUntil(lambda: desk.window.composer.text() == "", timeout=5_000)
        desk.chat.open(1)
        qtbot.waitUntil(lambda: desk.window.composer.text() == long, timeout=5_000)
        desk.window.composer.set_text("Short.")
        disk.free()
        desk.window.composer.submit()
        wait_answered(qtbot, desk)
        assert texts(desk)[2] == "Short."
        assert desk.chat.shown_branch[-1].state == "complete"
    with running_desk(qtbot, profile) as desk:
        qtbot.waitUntil(lambda: len(texts(desk)) == 4, timeout=10_000)
        assert texts(desk)[:3] == [HELLO, REPLY, "Short."]


def long_answers(stored: prefs.Preferences) -> None:
    """Long enough to fill a disk meanwhile, also on a fast machine."""
    stored.sampling = SamplingSettings(max_tokens=300, seed=4, temperature=1.0)


def test_an_answer_during_which_the_disk_fills_is_shown_whole_and_saved_later(
    qtbot: QtBot, disk: Disk
) -> None:
    profile = disk.folder / "profile"
    with running_desk(qtbot, profile, long_answers) as desk:
        wait_ready(qtbot, desk)
        said: list[str] = []
        desk.chat.failed.connect(lambda report: said.append(report.text()))
        pieces: list[str] = []
        desk.chat.answer_streamed.connect(lambda _, text: pieces.append(text))
        with qtbot.waitSignal(desk.chat.answer_streamed, timeout=20_000):
            ask(qtbot, desk, "Write a very long story about a fox.")
        disk.fill()
        qtbot.waitUntil(lambda: desk.chat.answer is None, timeout=60_000)
        qtbot.wait(600)  # several tries that are all refused
        whole = "".join(pieces)
        assert len(said) == 1, "the same trouble is told once"
        assert "the drive is full" in notice(desk)
        assert texts(desk)[1] == whole
        assert not desk.chat.busy
        assert not desk.window.close(), "it asks before text is lost"
        QApplication.activeModalWidget().reject()
        desk.chat.new_chat()
        desk.chat.open(1)
        qtbot.wait(100)
        assert texts(desk)[1] == whole, "also after looking at another conversation"
        qtbot.keyClicks(desk.window.composer.editor, "a draft")
        disk.free()
        with qtbot.waitSignal(desk.chat.recovered, timeout=10_000):
            pass
        assert "is saved now" in notice(desk)
        assert desk.chat.shown_branch[1].state == "complete"
    with running_desk(qtbot, profile) as desk:
        qtbot.waitUntil(lambda: len(texts(desk)) == 2, timeout=10_000)
        assert texts(desk)[1] == whole
        qtbot.waitUntil(lambda: desk.window.composer.text() == "a draft", timeout=5_000)


def test_a_question_after_an_unsaved_answer_builds_upon_the_whole_answer(
    qtbot: QtBot, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsaved, "RETRY_MS", 3_600_000)
    profile = disk.folder / "profile"
    with running_desk(qtbot, profile, long_answers) as desk:
        wait_ready(qtbot, desk)
        with qtbot.waitSignal(desk.chat.answer_streamed, timeout=20_000):
            ask(qtbot, desk, "Write a very long story about a fox.")
        disk.fill()
        with qtbot.waitSignal(desk.chat.unsaved.kept, timeout=60_000):
            pass
        qtbot.waitUntil(lambda: "full" in notice(desk), timeout=5_000)
        whole = texts(desk)[1]
        disk.free()
        with qtbot.waitSignal(desk.chat.answer_streamed, timeout=20_000):
            ask(qtbot, desk, "More.")
        assert texts(desk)[1] == whole
        assert desk.chat.shown_branch[1].state == "complete"
        assert not desk.chat.unsaved.waiting


def test_a_disk_that_is_full_at_the_start_shows_what_is_there(qtbot: QtBot, disk: Disk) -> None:
    profile = disk.folder / "profile"
    fill_profile(profile)
    disk.fill()
    with running_desk(qtbot, profile) as desk:
        qtbot.waitUntil(lambda: texts(desk) == [HELLO, REPLY], timeout=10_000)
        wait_ready(qtbot, desk)
        desk.window.composer.set_text("Is there room?")
        with qtbot.waitSignal(desk.chat.send_failed, timeout=10_000):
            desk.window.composer.submit()
        assert desk.window.composer.text() == "Is there room?"
        assert "the drive is full" in notice(desk)


def test_a_first_start_on_a_full_disk_says_so_and_keeps_the_text(qtbot: QtBot, disk: Disk) -> None:
    disk.fill()
    with running_desk(qtbot, disk.folder / "profile") as desk:
        qtbot.waitUntil(lambda: "the drive is full" in notice(desk), timeout=10_000)
        desk.window.composer.set_text("Is there room?")
        desk.window.composer.submit()
        qtbot.waitUntil(lambda: desk.window.composer.text() == "Is there room?", timeout=5_000)


# ---- damaged --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b'{"theme": "plaid"}',
        b'{"text_size_pt": 1000000000}',
        b'{"load": {"memory_budget": -1}}',
        b'{"sampling": {"temperature": NaN}}',
        b'{"recent_models": "all"}',
        json.dumps({"system_prompt": "x"}).encode()[:-4],
    ],
)
def test_damaged_settings_are_set_aside_and_said(
    qtbot: QtBot, own_profile: Path, content: bytes
) -> None:
    own_profile.mkdir()
    (own_profile / prefs.FILE_NAME).write_bytes(content)
    with running_desk(qtbot, own_profile) as desk:
        assert "settings file was damaged" in notice(desk)
        [aside] = own_profile.glob("preferences.damaged-*.json")
        assert aside.name in notice(desk)
        assert aside.read_bytes() == content
        assert desk.preferences.load == prefs.Preferences().load


def test_strange_but_valid_settings_do_no_harm(qtbot: QtBot, own_profile: Path) -> None:
    own_profile.mkdir()
    strange = {
        "language": "tlh",
        "window_geometry": "\u6f22\u5b57 not base64 %%%",
        "recent_models": ["", "\0", "/nowhere/\U0001f600.gguf"],
        "from_the_future": {"a": [1]},
    }
    (own_profile / prefs.FILE_NAME).write_text(json.dumps(strange), encoding="utf-8")
    with running_desk(qtbot, own_profile) as desk:
        wait_ready(qtbot, desk)
        desk.window.models_requested.emit()
        qtbot.wait(300)
        assert notice(desk) == ""
    kept = json.loads((own_profile / prefs.FILE_NAME).read_text(encoding="utf-8"))
    assert kept["from_the_future"] == {"a": [1]}


def test_a_folder_in_place_of_the_settings_does_no_harm(qtbot: QtBot, own_profile: Path) -> None:
    (own_profile / prefs.FILE_NAME).mkdir(parents=True)
    with running_desk(qtbot, own_profile) as desk:
        assert "settings file was damaged" in notice(desk)
    assert (own_profile / prefs.FILE_NAME).is_file()


def test_a_damaged_database_is_rescued_and_both_damages_can_be_read(
    qtbot: QtBot, own_profile: Path
) -> None:
    fill_profile(own_profile)
    (own_profile / prefs.FILE_NAME).write_bytes(b"{")
    with (own_profile / "conversations.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 60)
    with running_desk(qtbot, own_profile, short_answers) as desk:
        qtbot.waitUntil(lambda: "conversation file was damaged" in notice(desk), timeout=10_000)
        [aside] = own_profile.glob("conversations.damaged-*.db")
        assert aside.name in notice(desk)
        desk.window.notices.clear()
        assert "settings file was damaged" in notice(desk)
        wait_ready(qtbot, desk)
        ask(qtbot, desk, "Does it go on?")
        wait_answered(qtbot, desk)
        assert desk.chat.shown_branch[-1].state == "complete"


def test_a_database_that_is_no_database_is_set_aside(qtbot: QtBot, own_profile: Path) -> None:
    own_profile.mkdir()
    (own_profile / "conversations.db").write_bytes(b"not a database at all" * 1000)
    with running_desk(qtbot, own_profile) as desk:
        qtbot.waitUntil(lambda: "conversation file was damaged" in notice(desk), timeout=10_000)


# ---- names ----------------------------------------------------------------------------------


def test_a_whole_chat_under_unusual_names(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "\u674e\u660e \U0001f600 100% #1 'q' \"d\" & ?x=1"
    profile, models = home / "\u914d\u7f6e", home / "\u6a21\u578b"
    models.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "\u674e\u660e")
    model = tiny_llama(models / "\u6df1\u5ea6 \U0001f40b 50%25 #2.gguf")

    def small(stored: prefs.Preferences) -> None:
        short_answers(stored)
        stored.load = stored.load.model_copy(update={"context_length": 512})

    with running_desk(qtbot, profile, small) as desk:
        wait_ready(qtbot, desk)
        desk.models.choose(model)
        qtbot.waitUntil(lambda: desk.preferences.model_path == str(model), timeout=10_000)
        ask(qtbot, desk, "Hi 100% #1")
        wait_answered(qtbot, desk)
        assert desk.chat.shown_branch[-1].state == "complete"
        before = texts(desk)
    with running_desk(qtbot, profile) as desk:
        wait_ready(qtbot, desk)
        assert desk.models.current is not None
        assert Path(desk.models.current.facts.path) == model
        qtbot.waitUntil(lambda: texts(desk) == before, timeout=10_000)
