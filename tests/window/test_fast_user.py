"""A user who is faster than the store and the search for passages: nothing is lost or misplaced."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from r1desk.chat.context import chat_documents
from r1desk.shell.session import Session
from support.engine_script import EngineScript, goes_on
from window.mouse_and_keys import drop, press, type_text
from window.session_fixture import texts


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
    type_text(text)
    press(Qt.Key.Key_Return)


def test_esc_at_once_after_enter_ends_the_answer(
    qtbot: QtBot, ready: Session, engine: EngineScript
) -> None:
    engine.answers(goes_on())
    ready.window.composer.setFocus()
    enter("Write a story.")
    press(Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: bool(texts(ready)) and not ready.chat.busy)
    assert ready.chat.shown_branch[-1].state == "stopped"


def test_esc_while_passages_are_looked_for_gives_the_question_back(
    qtbot: QtBot, ready: Session, tmp_path: Path, search: threading.Event
) -> None:
    attach(qtbot, ready, tmp_path)
    enter("Why?")
    press(Qt.Key.Key_Escape)
    search.set()
    qtbot.waitUntil(lambda: ready.window.composer.text() == "Why?" or bool(texts(ready)))
    assert texts(ready) == []
    assert ready.window.composer._has_attachments
