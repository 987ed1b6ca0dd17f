"""A profile that cannot be written, is full, is damaged, or opens late.

Reading works wherever there is something to read; what was written is never lost; the reason is
said in the window.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from r1desk import preferences as prefs
from r1desk.chat.answers import pending_writes
from r1desk.chat.values.intents import AttachFiles, EditQuestion
from r1desk.shell.session import Session
from r1desk.store import Store, store
from support.engine_script import says, waits_for
from support.patience import PATIENCE_S
from window.disks import Disk
from window.session_fixture import (
    ask,
    ask_and_wait,
    is_text,
    notice_text,
    ready_session,
    running_session,
    texts,
    wait_answered,
    wait_ready,
)  # fmt: skip
from window.stored_conversations import store_conversation

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
    store_conversation(folder, HELLO, REPLY)
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_writes, "RETRY_MS", 200)


@contextmanager
def opened(qtbot: QtBot, profile: Path) -> Iterator[Session]:
    """The application on a profile, once its conversation is on the screen."""
    with running_session(qtbot, profile) as session:
        qtbot.waitUntil(lambda: texts(session) == [HELLO, REPLY])
        yield session


def test_a_read_only_profile_can_be_read_and_says_why_nothing_can_be_sent(qtbot, disk, profile):
    disk.set_writable(False)
    with opened(qtbot, profile) as session:
        assert "cannot be written" in notice_text(session)
        assert str(profile) in notice_text(session)
        wait_ready(qtbot, session)
        composer = session.window.composer
        qtbot.keyClicks(composer.editor, "May I?")
        qtbot.keyClick(composer.editor, Qt.Key.Key_Return)
        qtbot.wait(700)
        assert composer.text() == "May I?", "what was typed stays"
        assert not composer._button.isEnabled()
        assert "cannot be written" in composer._button.toolTip()
        assert "cannot be written" in notice_text(session), "and nothing else is complained about"
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
    with opened(qtbot, profile) as session:
        ask_and_wait(qtbot, session, "And now?")
        assert len(session.chat.shown_branch) == 4


def test_a_message_that_finds_the_disk_full_comes_back_and_can_be_sent_later(qtbot, disk, profile):
    with opened(qtbot, profile) as session:
        wait_ready(qtbot, session)
        qtbot.waitUntil(lambda: not session._save_timer.isActive())  # else its notice comes later
        disk.fill()
        long = "Tell me. " * 2000
        session.window.composer.set_text(long)
        with qtbot.waitSignal(session.chat.pending_writes.failed):
            session.window.composer.submit()
        assert session.window.composer.text() == long
        assert "the drive is full" in notice_text(session)
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


def test_files_are_refused_while_the_disk_is_full_and_attached_later(
    qtbot: QtBot, disk: Disk, profile: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Apples are red. " * 20_000, encoding="utf-8")
    with opened(qtbot, profile) as session:
        row = session.window.composer.attachments
        disk.fill()
        session.window.composer.requested.emit(AttachFiles((str(notes),)))
        qtbot.waitUntil(lambda: "disk is full" in notice_text(session))
        qtbot.waitUntil(lambda: not row.chips)
        disk.free()
        session.window.composer.requested.emit(AttachFiles((str(notes),)))
        qtbot.waitUntil(lambda: any(chip.chip.opens for chip in row.chips))  # it is read
    with running_session(qtbot, profile) as session:
        row = session.window.composer.attachments
        qtbot.waitUntil(lambda: len(row.chips) == 1)


def test_an_answer_during_which_the_disk_fills_is_shown_whole_and_saved_later(qtbot, disk, engine):
    profile, whole = disk.folder / "profile", "Once upon " + "a time. " * 1000
    engine.answers(says("Once upon "), waits_for(engine.gate("full")), says("a time. " * 1000))
    with ready_session(qtbot, profile, engine=engine) as session:
        with qtbot.waitSignal(session.chat.answers.streamed, check_params_cb=is_text):
            ask(qtbot, session, "Write a story.")
        session.store.run(lambda store: store)  # which chat is shown is stored by now
        disk.fill()
        engine.open_gate("full")
        qtbot.waitUntil(lambda: session.chat.answer is None)
        qtbot.waitUntil(lambda: "drive is full" in session.window.notices.text)
        qtbot.waitUntil(lambda: texts(session)[1] == whole)
        assert not session.chat.busy
        assert not session.window.close(), "it asks before text is lost"
        QApplication.activeModalWidget().reject()
        qtbot.keyClicks(session.window.composer.editor, "a draft")
        disk.free()
        with qtbot.waitSignal(session.chat.pending_writes.recovered):
            pass
        saved = "Everything is saved again."
        qtbot.waitUntil(lambda: notice_text(session) == saved)  # nothing is said of the full drive
        assert session.chat.shown_branch[1].state == "complete"
    with running_session(qtbot, profile) as session:
        qtbot.waitUntil(lambda: len(texts(session)) == 2)
        assert texts(session)[1] == whole
        qtbot.waitUntil(lambda: session.window.composer.text() == "a draft")


def test_a_first_start_on_a_full_disk_says_so_and_keeps_the_text(qtbot: QtBot, disk: Disk) -> None:
    disk.fill()
    with running_session(qtbot, disk.folder / "profile") as session:
        qtbot.waitUntil(lambda: "the drive is full" in notice_text(session))
        session.window.composer.set_text("Is there room?")
        session.window.composer.submit()
        qtbot.waitUntil(lambda: session.window.composer.text() == "Is there room?")


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
        session.window.models_action.trigger()
        qtbot.wait(300)
        assert notice_text(session) == ""
    kept = json.loads((own_profile / prefs.FILE_NAME).read_text(encoding="utf-8"))
    assert kept["from_the_future"] == {"a": [1]}


def test_damaged_settings_are_set_aside_and_said(qtbot: QtBot, own_profile: Path) -> None:
    file = own_profile / prefs.FILE_NAME
    file.mkdir(parents=True)  # contents: test_settings_dialog.py
    with running_session(qtbot, own_profile) as session:
        assert "settings file was damaged" in notice_text(session)
        [aside] = own_profile.glob("preferences.damaged-*.json")
        assert aside.name in notice_text(session)
        assert session.preferences.load == prefs.Preferences().load
    assert file.is_file()


def test_a_damaged_database_is_rescued_and_both_damages_can_be_read(qtbot, own_profile):
    store_conversation(own_profile, HELLO, REPLY)
    (own_profile / prefs.FILE_NAME).write_bytes(b"{")
    with (own_profile / "conversations.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 60)
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: "file with your chats was damaged" in notice_text(session))
        [aside] = own_profile.glob("conversations.damaged-*.db")
        assert aside.name in notice_text(session)
        assert "settings file was damaged" in notice_text(session)
        wait_ready(qtbot, session)
        ask_and_wait(qtbot, session, "Does it go on?")
        assert session.chat.shown_branch[-1].state == "complete"


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The store does nothing until the event is set."""
    ready = threading.Event()

    class LateStore(Store):
        def __init__(self, path: Path) -> None:
            ready.wait(PATIENCE_S)
            super().__init__(path)

    monkeypatch.setattr(store, "Store", LateStore)
    yield ready
    ready.set()


def test_words_typed_before_the_store_has_opened_stay_in_the_box(qtbot, slow_disk, session):
    qtbot.keyClicks(session.window.composer.editor, "What is")
    with qtbot.waitSignal(session.chat.branch_shown):
        slow_disk.set()
    qtbot.keyClicks(session.window.composer.editor, " the capital")
    assert session.window.composer.text() == "What is the capital"


def test_words_typed_before_the_last_conversation_is_read_stay_in_a_new_one(
    qtbot: QtBot, own_profile: Path, slow_disk: threading.Event
) -> None:
    slow_disk.set()
    with running_session(qtbot, own_profile) as session:
        ask_and_wait(qtbot, session, "Name a fruit.")
    slow_disk.clear()
    with running_session(qtbot, own_profile) as session:
        qtbot.keyClicks(session.window.composer.editor, "What is")
        with qtbot.waitSignal(session.chat.branch_shown):
            slow_disk.set()
        assert session.window.composer.text() == "What is"
        assert session.chat.conversation_id is None
