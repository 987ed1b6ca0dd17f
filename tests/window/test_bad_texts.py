"""Texts that do harm elsewhere, through the real window: huge, broken, or full of addresses."""

import os
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QDesktopServices, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import TextTooLong
from r1desk.chat.values.intents import EditQuestion, OpenLink, SelectVersion
from r1desk.conversations.conversation_intents import RenameConversation, SearchConversations
from r1desk.shell.session import Session
from support.engine_script import EngineScript, refuses
from window.session_fixture import ready_session, running_session, short_answers, wait_answered
from window.stall_meter import answering_window
from window.stored_conversations import store_conversation


def paste(session: Session, text: str) -> None:
    """Ctrl+V with a text on the clipboard."""
    data = QMimeData()
    data.setText(text)
    QApplication.clipboard().setMimeData(data)
    session.window.composer.setFocus()
    QTest.keySequence(session.window.composer.editor, QKeySequence(QKeySequence.StandardKey.Paste))


def assert_answered(session: Session) -> None:
    """The last answer is whole; otherwise the failure names the error."""
    last = session.chat.shown_branch[-1]
    assert last.state == "complete", last.error_text


@pytest.mark.quiet
def test_a_pasted_word_of_a_megabyte_is_stored_exactly_and_refused_clearly(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    word = "abcdefgh" * 131_072
    engine.answers(refuses(TextTooLong(tokens=9000, context=8192)), to="abcdefgh")
    with ready_session(qtbot, own_profile, short_answers, engine) as session:
        with answering_window():
            paste(session, word)
            qtbot.wait(100)
            session.window.composer.submit()
            wait_answered(qtbot, session)
            qtbot.wait(300)
        question, answer = session.chat.shown_branch
        assert question.content == word
        assert answer.state == "failed"
        assert "the context holds 8192" in answer.error_text.replace(",", "")
        with answering_window():
            session.window.chat.requested.emit(EditQuestion(question.id, "Say hello."))
            wait_answered(qtbot, session)
        assert_answered(session)
    with running_session(qtbot, own_profile) as session, answering_window():
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        session.window.chat.requested.emit(SelectVersion(session.chat.shown_branch[0].id, -1))
        qtbot.waitUntil(lambda: session.chat.shown_branch[0].content == word)
        qtbot.wait(300)


NO_TEXTS = {
    "before \0 after": "before \u2400 after",
    "half \ud83d a smile": "half  a smile",  # Qt's binding itself leaves it out
    "a smile \U0001f600": "a smile \U0001f600",
    "\ud800\udc00 in halves": "\U00010000 in halves",
}


def test_what_is_no_text_is_made_visible_and_answered(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile, short_answers) as session:
        for typed, kept in NO_TEXTS.items():
            paste(session, typed)
            session.window.composer.submit()
            wait_answered(qtbot, session)
            assert session.chat.shown_branch[-2].content == kept
            assert_answered(session)
            conversation = session.chat.conversation_id
            session.chat.send(typed)  # past the binding
            wait_answered(qtbot, session)
            assert session.chat.shown_branch[-2].content.replace("\ufffd", "") == kept
            assert_answered(session)
            session.window.composer.set_text(typed)
            session.window.composer.editor.textChanged.emit()
            session.window.composer.flush_draft()
            answers = session.window.panel.answers
            answers.changed.emit(answers.settings, typed)
            session.window.composer.clear()
            session.window.sidebar.requested.emit(RenameConversation(conversation, typed))
            session.window.sidebar.requested.emit(SearchConversations(typed))
            qtbot.wait(100)
            assert not session.window.notices.text
    with ready_session(qtbot, own_profile) as session:
        assert session.preferences.sampling.max_tokens == 48
        assert not session.window.notices.text


def was_read(file: Path) -> bool:
    """Whether its time of access changed; always false on Windows, which seldom keeps it."""
    return sys.platform != "win32" and file.stat().st_atime != 1


def test_nothing_that_the_model_writes_is_fetched_or_opened(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    canary = tmp_path / "canary.png"
    canary.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    os.utime(canary, (1, 2_000_000_000))  # read before written: a read moves atime
    web, local = "http://127.0.0.1:9/x.png", canary.as_uri()
    addresses = [web, local, str(canary), f"file://localhost{canary}", "javascript:alert(1)"]
    lines = [
        text.format(a)
        for a in addresses
        for text in (
            "![alt]({})",
            "[link]({})",
            "<{}>",
            '<img src="{}">',
            '<a href="{}">x</a>',
            '<link rel="stylesheet" href="{}">',
            '<body background="{}">',
            '<div style="background-image: url({})">x</div>',
            "[ref]: {}\n\n![ref][ref] [ref]",
            "| a |\n|---|\n| ![t]({}) |",
            "> ![q]({})",
            "```html\n<img src='{}'>\n```",
            "\\![esc]({})",
        )
    ]
    text = "\n\n".join(lines)
    store_conversation(own_profile, text, text, thinking=text, thinking_s=1.0)
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        qtbot.wait(500)
        session.window.grab()
        for address in addresses[1:]:
            session.window.chat.requested.emit(OpenLink(address))
        assert QApplication.activeModalWidget() is None
        session.window.chat.requested.emit(OpenLink(web))
        box = QApplication.activeModalWidget()
        assert box is not None, "an address of the web is opened only after a question"
        assert web in box.informativeText()
        box.reject()
        qtbot.wait(200)
        assert opened == []
        assert not was_read(canary)
