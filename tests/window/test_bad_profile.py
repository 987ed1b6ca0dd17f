"""A profile that cannot be written, is full, is damaged, or has an unusual name.

Reading works wherever there is something to read; what was written is never lost; the reason is
said in the window.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat import pending_writes
from r1desk.chat.intents import EditQuestion
from r1desk.shell.session import Session
from r1desk.store import MessageState, Profile, Store
from support.gguf_files import tiny_llama
from window.disks import Disk
from window.session_fixture import (
    ask,
    ready_session,
    running_session,
    short_answers,
    wait_answered,
    wait_ready,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]

HELLO, REPLY = "Hello from before.", "An answer from before."


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", size_kib=2048)
    yield disk
    disk.remove()


@pytest.fixture
def profile(disk: Disk) -> Path:
    """A profile on the small disk, with one short conversation."""
    folder = disk.folder / "profile"
    fill_profile(folder)
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_writes, "RETRY_MS", 200)


def fill_profile(folder: Path, reply: str = REPLY) -> None:
    """A profile with one short conversation, closed properly."""
    with Profile.open(folder) as held, Store(held.database) as store:
        conversation = store.conversations.create().id
        asked = store.messages.append_user(conversation, HELLO, None)
        answer = store.messages.begin_answer(conversation, asked.id, "model")
        store.messages.finish_answer(answer.id, reply, "", 0.0, None, MessageState.COMPLETE)
        store.key_value.set("last_conversation", conversation)


def notice(session: Session) -> str:
    shown = session.window.notices.notice
    return shown.text if shown is not None else ""


def texts(session: Session) -> list[str]:
    return [message.content for message in session.chat.shown_branch]


@contextmanager
def opened(
    qtbot: QtBot,
    profile: Path,
    adapt: Callable[[prefs.Preferences], None] | None = None,
    shown: Sequence[str] = (HELLO, REPLY),
) -> Iterator[Session]:
    """The application on a profile, once its conversation is on the screen."""
    with running_session(qtbot, profile, adapt) as session:
        qtbot.waitUntil(lambda: texts(session) == list(shown))
        yield session


# ---- read-only ------------------------------------------------------------------------------


def test_a_read_only_profile_can_be_read_and_says_why_nothing_can_be_sent(
    qtbot: QtBot, disk: Disk, profile: Path
) -> None:
    disk.set_writable(False)
    with opened(qtbot, profile) as session:
        assert "cannot be written" in notice(session)
        assert str(profile) in notice(session)
        wait_ready(qtbot, session)
        composer = session.window.composer
        qtbot.keyClicks(composer.editor, "May I?")
        qtbot.keyClick(composer.editor, Qt.Key.Key_Return)
        qtbot.wait(700)
        assert composer.text() == "May I?", "what was typed stays"
        assert not composer._button.isEnabled()
        assert "cannot be written" in composer._button.toolTip()
        assert "cannot be written" in notice(session), "and nothing else is complained about"
        session.window.sidebar.search.setText("before")
        rows = session.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 1)
        session.chat.new_chat()
        qtbot.waitUntil(lambda: session.chat.shown_branch == [])
        session.chat.open(1)
        qtbot.waitUntil(lambda: composer.text() == "May I?")
        session.window.chat.requested.emit(
            EditQuestion(session.chat.shown_branch[0].id, "Another wording.")
        )
        qtbot.waitUntil(lambda: "Another wording." in composer.text())
        before = session.window
        session.set_language("en")  # builds the window anew
        qtbot.waitUntil(lambda: session.window is not before)
        qtbot.waitUntil(lambda: "cannot be written" in session.window.composer._button.toolTip())
    disk.set_writable(True)
    with opened(qtbot, profile, short_answers) as session:
        ask(qtbot, session, "And now?")
        wait_answered(qtbot, session)
        assert len(session.chat.shown_branch) == 4


# ---- full -----------------------------------------------------------------------------------


def test_a_message_that_finds_the_disk_full_comes_back_and_can_be_sent_later(
    qtbot: QtBot, disk: Disk, profile: Path
) -> None:
    with opened(qtbot, profile, short_answers) as session:
        wait_ready(qtbot, session)
        disk.fill()
        long = "Tell me. " * 2000
        session.window.composer.set_text(long)
        with qtbot.waitSignal(session.chat.send_failed):
            session.window.composer.submit()
        assert session.window.composer.text() == long
        assert "the drive is full" in notice(session)
        assert texts(session) == [HELLO, REPLY]
        session.chat.new_chat()
        qtbot.waitUntil(lambda: session.window.composer.text() == "")
        session.chat.open(1)
        qtbot.waitUntil(lambda: session.window.composer.text() == long)
        session.window.composer.set_text("Short.")
        disk.free()
        session.window.composer.submit()
        wait_answered(qtbot, session)
        assert texts(session)[2] == "Short."
        assert session.chat.shown_branch[-1].state == "complete"
    with running_session(qtbot, profile) as session:
        qtbot.waitUntil(lambda: len(texts(session)) == 4)
        assert texts(session)[:3] == [HELLO, REPLY, "Short."]


def test_messages_sent_while_another_is_refused_come_back_in_their_order(
    qtbot: QtBot, disk: Disk, profile: Path
) -> None:
    with opened(qtbot, profile, short_answers) as session:
        wait_ready(qtbot, session)
        disk.fill()
        composer, long = session.window.composer, "Tell me. " * 2000
        for text in (long, "And then?", "And after that?"):  # before the first is answered for
            composer.set_text(text)
            composer.submit()
        whole = f"{long}\n\nAnd then?\n\nAnd after that?"
        qtbot.waitUntil(lambda: composer.text() == whole)
        session.window.close()
        box = session.window.findChild(QMessageBox)
        assert session.window.isVisible()
        assert "would be lost" in box.text()
        box.reject()
        disk.free()
        with qtbot.waitSignal(session.chat.recovered):
            pass
    with running_session(qtbot, profile) as session:
        qtbot.waitUntil(lambda: session.window.composer.text() == whole)


def test_files_attached_while_the_disk_is_full_are_kept_and_saved_later(
    qtbot: QtBot, disk: Disk, profile: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Apples are red. " * 20_000, encoding="utf-8")
    with opened(qtbot, profile) as session:
        row = session.window.composer.attachments
        disk.fill()
        session.window.files_dropped.emit([str(notes)])
        qtbot.waitUntil(lambda: "the drive is full" in notice(session))
        session.chat.new_chat()
        qtbot.waitUntil(lambda: not row.chips)
        session.chat.open(1)
        qtbot.waitUntil(lambda: len(row.chips) == 1)
        disk.free()
        with qtbot.waitSignal(session.chat.recovered):
            pass
    with running_session(qtbot, profile) as session:
        row = session.window.composer.attachments
        qtbot.waitUntil(lambda: len(row.chips) == 1)


def test_a_deletion_is_undone_once_there_is_room_for_the_message(qtbot: QtBot, disk: Disk) -> None:
    profile, reply = disk.folder / "profile", "Apples are red. " * 8_000
    fill_profile(profile, reply)
    with opened(qtbot, profile, shown=(HELLO, reply)) as session:
        session.message_actions.delete(session.chat.shown_branch[1].id)
        qtbot.waitUntil(lambda: texts(session) == [HELLO])
        disk.fill()
        session.history.undo()
        qtbot.waitUntil(lambda: "the drive is full" in notice(session))
        assert texts(session) == [HELLO]
        disk.free()
        session.history.undo()
        qtbot.waitUntil(lambda: texts(session) == [HELLO, reply])


def long_answers(stored: prefs.Preferences) -> None:
    """Long enough to fill a disk meanwhile, also on a fast machine."""
    stored.sampling = SamplingSettings(max_tokens=300, seed=4, temperature=1.0)


def test_an_answer_during_which_the_disk_fills_is_shown_whole_and_saved_later(
    qtbot: QtBot, disk: Disk
) -> None:
    profile = disk.folder / "profile"
    with ready_session(qtbot, profile, long_answers) as session:
        said: list[str] = []
        session.chat.failed.connect(lambda report: said.append(report.text()))
        pieces: list[str] = []
        session.chat.answer_streamed.connect(lambda _, text: pieces.append(text))
        with qtbot.waitSignal(session.chat.answer_streamed):
            ask(qtbot, session, "Write a very long story about a fox.")
        disk.fill()
        qtbot.waitUntil(lambda: session.chat.answer is None)
        qtbot.wait(600)  # several tries that are all refused
        whole = "".join(pieces)
        assert len(said) == 1, "the same trouble is told once"
        assert "the drive is full" in notice(session)
        assert texts(session)[1] == whole
        assert not session.chat.busy
        assert not session.window.close(), "it asks before text is lost"
        QApplication.activeModalWidget().reject()
        session.chat.new_chat()
        session.chat.open(1)
        qtbot.waitUntil(lambda: len(texts(session)) == 2)
        assert texts(session)[1] == whole, "also after looking at another conversation"
        qtbot.keyClicks(session.window.composer.editor, "a draft")
        disk.free()
        with qtbot.waitSignal(session.chat.recovered):
            pass
        assert "is saved now" in notice(session)
        assert session.chat.shown_branch[1].state == "complete"
    with running_session(qtbot, profile) as session:
        qtbot.waitUntil(lambda: len(texts(session)) == 2)
        assert texts(session)[1] == whole
        qtbot.waitUntil(lambda: session.window.composer.text() == "a draft")


def test_a_question_after_an_unsaved_answer_builds_upon_the_whole_answer(
    qtbot: QtBot, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_writes, "RETRY_MS", 3_600_000)
    profile = disk.folder / "profile"
    with ready_session(qtbot, profile, long_answers) as session:
        with qtbot.waitSignal(session.chat.answer_streamed):
            ask(qtbot, session, "Write a very long story about a fox.")
        disk.fill()
        with qtbot.waitSignal(session.chat.pending_writes.kept):
            pass
        qtbot.waitUntil(lambda: "full" in notice(session))
        whole = texts(session)[1]
        disk.free()
        with qtbot.waitSignal(session.chat.answer_streamed):
            ask(qtbot, session, "More.")
        assert texts(session)[1] == whole
        assert session.chat.shown_branch[1].state == "complete"
        assert not session.chat.pending_writes.waiting


def test_a_disk_that_is_full_at_the_start_shows_what_is_there(
    qtbot: QtBot, disk: Disk, profile: Path
) -> None:
    disk.fill()
    with opened(qtbot, profile) as session:
        wait_ready(qtbot, session)
        session.window.composer.set_text("Is there room?")
        with qtbot.waitSignal(session.chat.send_failed):
            session.window.composer.submit()
        assert session.window.composer.text() == "Is there room?"
        assert "the drive is full" in notice(session)


def test_a_first_start_on_a_full_disk_says_so_and_keeps_the_text(qtbot: QtBot, disk: Disk) -> None:
    disk.fill()
    with running_session(qtbot, disk.folder / "profile") as session:
        qtbot.waitUntil(lambda: "the drive is full" in notice(session))
        session.window.composer.set_text("Is there room?")
        session.window.composer.submit()
        qtbot.waitUntil(lambda: session.window.composer.text() == "Is there room?")


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
    with running_session(qtbot, own_profile) as session:
        assert "settings file was damaged" in notice(session)
        [aside] = own_profile.glob("preferences.damaged-*.json")
        assert aside.name in notice(session)
        assert aside.read_bytes() == content
        assert session.preferences.load == prefs.Preferences().load


def test_strange_but_valid_settings_do_no_harm(qtbot: QtBot, own_profile: Path) -> None:
    own_profile.mkdir()
    strange = {
        "language": "tlh",
        "window_geometry": "\u6f22\u5b57 not base64 %%%",
        "recent_models": ["", "\0", "/nowhere/\U0001f600.gguf"],
        "from_the_future": {"a": [1]},
    }
    (own_profile / prefs.FILE_NAME).write_text(json.dumps(strange), encoding="utf-8")
    with ready_session(qtbot, own_profile) as session:
        session.window.models_requested.emit()
        qtbot.wait(300)
        assert notice(session) == ""
    kept = json.loads((own_profile / prefs.FILE_NAME).read_text(encoding="utf-8"))
    assert kept["from_the_future"] == {"a": [1]}


def test_a_folder_in_place_of_the_settings_does_no_harm(qtbot: QtBot, own_profile: Path) -> None:
    (own_profile / prefs.FILE_NAME).mkdir(parents=True)
    with running_session(qtbot, own_profile) as session:
        assert "settings file was damaged" in notice(session)
    assert (own_profile / prefs.FILE_NAME).is_file()


def test_a_damaged_database_is_rescued_and_both_damages_can_be_read(
    qtbot: QtBot, own_profile: Path
) -> None:
    fill_profile(own_profile)
    (own_profile / prefs.FILE_NAME).write_bytes(b"{")
    with (own_profile / "conversations.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 60)
    with running_session(qtbot, own_profile, short_answers) as session:
        qtbot.waitUntil(lambda: "conversation file was damaged" in notice(session))
        [aside] = own_profile.glob("conversations.damaged-*.db")
        assert aside.name in notice(session)
        session.window.notices.clear()
        assert "settings file was damaged" in notice(session)
        wait_ready(qtbot, session)
        ask(qtbot, session, "Does it go on?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"


def test_a_database_that_is_no_database_is_set_aside(qtbot: QtBot, own_profile: Path) -> None:
    own_profile.mkdir()
    (own_profile / "conversations.db").write_bytes(b"not a database at all" * 1000)
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: "conversation file was damaged" in notice(session))


# ---- names ----------------------------------------------------------------------------------


def test_a_whole_chat_under_unusual_names(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "\u674e\u660e \U0001f600 100% #1 'q' & x=1"
    if sys.platform != "win32":  # which forbids these two characters
        home /= '"d" ?'
    profile, models = home / "\u914d\u7f6e", home / "\u6a21\u578b"
    models.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "\u674e\u660e")
    model = tiny_llama(models / "\u6df1\u5ea6 \U0001f40b 50%25 #2.gguf")

    def small(stored: prefs.Preferences) -> None:
        short_answers(stored)
        stored.load = stored.load.model_copy(update={"context_length": 512})

    with ready_session(qtbot, profile, small) as session:
        session.models.choose(model)
        qtbot.waitUntil(lambda: session.preferences.model_path == str(model))
        ask(qtbot, session, "Hi 100% #1")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"
        before = texts(session)
    with ready_session(qtbot, profile) as session:
        assert session.models.current is not None
        assert Path(session.models.current.facts.path) == model
        qtbot.waitUntil(lambda: texts(session) == before)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_model_whose_name_is_no_text_is_used_and_found_again(
    qtbot: QtBot, tmp_path: Path
) -> None:
    profile, model = (
        tmp_path / "profile",
        tiny_llama(tmp_path / os.fsdecode("模型.gguf".encode("gbk"))),
    )

    def small(stored: prefs.Preferences) -> None:
        short_answers(stored)
        stored.load = stored.load.model_copy(update={"context_length": 512})

    with ready_session(qtbot, profile, small) as session:
        session.models.choose(model)
        qtbot.waitUntil(lambda: session.models.loaded_path == model)
        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        before = texts(session)
    with ready_session(qtbot, profile) as session:
        assert session.models.loaded_path == model
        assert session.preferences.recent_models == [str(model)]
        qtbot.waitUntil(lambda: texts(session) == before)
