"""A user who is faster than the store and the search for passages: nothing is lost or misplaced."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from r1desk.chat.context import chat_documents
from r1desk.shell.session import Session
from support.engine_script import goes_on
from window.mouse_and_keys import click_row, drop, has_row, press, type_line, type_text
from window.session_fixture import running_session, texts
from window.stored_conversations import store_conversation

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Passages are looked for until it is set."""
    found, plan = threading.Event(), chat_documents.plan

    def slow_plan(*what: object, **how: object) -> object:
        found.wait()
        return plan(*what, **how)

    monkeypatch.setattr(chat_documents, "plan", slow_plan)
    yield found
    found.set()


def attach(qtbot: QtBot, session: Session, folder: Path) -> None:
    """Attach a document to the message being written, until it is read."""
    (file := folder / "notes.md").write_text("# Notes", encoding="utf-8")
    drop(session.window, file)
    composer = session.window.composer
    qtbot.waitUntil(lambda: composer._has_attachments and not composer._reading)


def enter(text: str) -> None:
    """Type a message and press Enter."""
    type_line(text)


def test_esc_at_once_after_enter_ends_the_answer(qtbot, ready, engine):
    engine.answers(goes_on())
    ready.window.composer.setFocus()
    enter("Write a story.")
    press(Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: bool(texts(ready)))
    qtbot.waitUntil(lambda: ready.chat.shown_branch[-1].state == "stopped")


def test_esc_while_passages_are_looked_for_gives_the_question_back(qtbot, ready, tmp_path, search):
    attach(qtbot, ready, tmp_path)
    enter("Why?")
    press(Qt.Key.Key_Escape)
    search.set()
    qtbot.waitUntil(lambda: ready.window.composer.text() == "Why?" or bool(texts(ready)))
    assert texts(ready) == []
    assert ready.window.composer._has_attachments


def drafts(session: Session, *conversations: int | None) -> list[str]:
    """What is on disk of what was typed in these conversations."""
    return session.store.run(lambda store: [store.conversations.draft(c) for c in conversations])


def test_a_new_chat_at_once_after_enter_is_shown_and_keeps_what_is_typed_in_it(qtbot, session):
    enter("Apples?")
    press(Qt.Key.Key_N, CTRL)
    type_text("Another matter")
    qtbot.waitUntil(lambda: drafts(session, 1, None) == ["", "Another matter"])
    assert session.chat.conversation_id is None
    assert session.window.composer.text() == "Another matter"


def test_a_question_whose_passages_are_found_too_late_is_not_asked_in_the_next_new_chat(
    qtbot: QtBot, session: Session, tmp_path: Path, search: threading.Event
) -> None:
    attach(qtbot, session, tmp_path)
    enter("Apples?")
    press(Qt.Key.Key_N, CTRL)
    qtbot.waitUntil(lambda: session.window.composer.text() == "Apples?")
    session.window.composer.clear()
    type_text("Another matter")
    search.set()
    qtbot.wait(200)  # it would have been asked by now
    assert texts(session) == []
    assert session.window.composer.text() == "Another matter"
    qtbot.waitUntil(lambda: drafts(session, None) == ["Another matter"])


def test_what_is_entered_before_a_chat_is_shown_is_given_back_before_its_draft(qtbot, own_profile):
    apples, _ = (store_conversation(own_profile, each, "Yes.") for each in ("Apples?", "Pears?"))
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: texts(session) == ["Pears?", "Yes."])
        session.store.run(lambda store: store.conversations.save_draft(apples, "Half a thou"))
        qtbot.waitUntil(lambda: has_row(session.window.sidebar.list, "Apples?"))
        click_row(session.window.sidebar.list, "Apples?")
        session.window.composer.setFocus()
        enter("And plums?")
        both = "And plums?\n\nHalf a thou"
        qtbot.waitUntil(lambda: session.window.composer.text() == both)
        assert texts(session) == ["Apples?", "Yes."]
        qtbot.waitUntil(lambda: drafts(session, apples) == [both])


@pytest.mark.parametrize("found_first", [True, False])
def test_what_is_typed_while_passages_are_looked_for_is_there_again_with_its_chat(
    qtbot, own_profile, tmp_path, search, *, found_first
):
    _, apples = (store_conversation(own_profile, each, "Yes.") for each in ("Pears?", "Apples?"))
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: texts(session) == ["Apples?", "Yes."])
        attach(qtbot, session, tmp_path)
        enter("And plums?")
        type_text("Another matter")
        qtbot.waitUntil(lambda: drafts(session, apples) == ["Another matter"])
        if found_first:
            search.set()
            qtbot.waitUntil(lambda: texts(session)[2:3] == ["And plums?"])
        click_row(session.window.sidebar.list, "Pears?")
        qtbot.waitUntil(lambda: texts(session) == ["Pears?", "Yes."])
        if not found_first:
            search.set()
            qtbot.waitUntil(lambda: bool(session.chat.pending_writes._drafts))
        click_row(session.window.sidebar.list, "Apples?")
        kept = "Another matter" if found_first else "And plums?\n\nAnother matter"
        qtbot.waitUntil(lambda: bool(session.window.composer.text()))
        assert session.window.composer.text() == kept
