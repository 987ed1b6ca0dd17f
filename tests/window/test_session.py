"""A person at the real window: types, reads, stops, edits, regenerates, searches, comes back."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import FinishReason, GenerationFinished
from r1desk.chat.intents import EditQuestion, Regenerate, SelectVersion
from r1desk.chat.message import ChatMessage
from r1desk.shell import main_window
from r1desk.shell.session import Session
from window.session_fixture import (
    ask,
    endless_answers,
    running_session,
    short_answers,
    wait_answered,
    wait_ready,
)
from window.stored_conversations import store_conversation

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]


def texts(session: Session) -> list[str]:
    return [message.content for message in session.chat.shown_branch]


@pytest.mark.quiet
def test_stop_ends_the_answer_within_200_ms_and_keeps_it(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, endless_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Write a long story about a fox.")
        with qtbot.waitSignal(session.chat.answer_streamed):
            pass
        ended: list[float] = []
        session.engine.event.connect(
            lambda event: (
                ended.append(time.monotonic()) if isinstance(event, GenerationFinished) else None
            )
        )
        stopped = time.monotonic()
        qtbot.keyClick(session.window.composer.editor, Qt.Key.Key_Escape)
        wait_answered(qtbot, session)
        qtbot.waitUntil(lambda: bool(ended))
        answer = session.chat.shown_branch[-1]
        assert answer.state == "stopped"
        assert answer.content
        assert answer.stats is not None
        assert answer.stats.finish_reason == FinishReason.CANCELLED
        assert ended[0] - stopped < 0.2


def test_editing_and_regenerating_keep_every_version(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Name a fruit.")
        wait_answered(qtbot, session)
        question, first_answer = session.chat.shown_branch
        session.window.chat.requested.emit(Regenerate(first_answer.id))
        wait_answered(qtbot, session)
        second_answer = session.chat.shown_branch[-1]
        assert second_answer.id != first_answer.id
        assert (second_answer.sibling_index, second_answer.sibling_count) == (1, 2)

        session.window.chat.requested.emit(EditQuestion(question.id, "Name a vegetable."))
        wait_answered(qtbot, session)
        edited = session.chat.shown_branch[0]
        assert edited.content == "Name a vegetable."
        assert edited.sibling_count == 2

        session.window.chat.requested.emit(SelectVersion(edited.id, -1))
        qtbot.waitUntil(lambda: texts(session)[0] == "Name a fruit.")
        session.window.chat.requested.emit(SelectVersion(session.chat.shown_branch[1].id, -1))
        qtbot.waitUntil(lambda: session.chat.shown_branch[1].id == first_answer.id)
        assert session.chat.shown_branch[1].content == first_answer.content


def test_an_edited_message_leaves_the_draft_of_the_next_one(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Name a fruit.")
        wait_answered(qtbot, session)
        conversation, composer = session.chat.conversation_id, session.window.composer
        with qtbot.waitSignal(composer.requested):
            qtbot.keyClicks(composer.editor, "half a thou")
        question = session.chat.shown_branch[0].id
        session.window.chat.requested.emit(EditQuestion(question, "Name a vegetable."))
        wait_answered(qtbot, session)
        session.chat.new_chat()
        assert composer.text() == ""
        session.chat.open(conversation)
        qtbot.waitUntil(lambda: composer.text() == "half a thou")


def test_a_message_for_a_conversation_that_was_left_is_its_draft(
    qtbot: QtBot, own_profile: Path
) -> None:
    left = store_conversation(own_profile, "Apples?", "Red.")
    other = store_conversation(own_profile, "Pears?", "Green.")
    with running_session(qtbot, own_profile, short_answers) as session:
        qtbot.waitUntil(lambda: texts(session) == ["Pears?", "Green."])
        session.chat.open(left)
        qtbot.waitUntil(lambda: texts(session) == ["Apples?", "Red."])
        session.chat.send("And plums?")
        session.chat.send("And cherries?")  # while the first is being stored
        session.chat.open(other)
        qtbot.waitUntil(lambda: texts(session) == ["Pears?", "Green."])
        session.chat.open(left)
        composer = session.window.composer
        qtbot.waitUntil(lambda: composer.text() == "And cherries?")
        assert texts(session)[2] == "And plums?"


def test_everything_is_found_again_after_a_restart(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Tell me about zebras.")
        wait_answered(qtbot, session)
        before = texts(session)
        qtbot.keyClicks(session.window.composer.editor, "half a thou")
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        assert texts(session) == before
        qtbot.waitUntil(lambda: session.window.composer.text() == "half a thou")
        assert session.preferences.sampling.max_tokens == 48
        session.window.sidebar.search.setText("zebra")
        rows = session.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 1)
        assert "zebra" in rows.index(0, 0).data().lower()


def test_trash_takes_a_conversation_away_and_undo_brings_it_back(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        ask(qtbot, session, "Short lived.")
        wait_answered(qtbot, session)
        conversation = session.chat.conversation_id
        session.window.sidebar.trash_requested.emit(conversation)
        rows = session.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 0)
        assert session.chat.conversation_id is None
        session.window.notices.action_button.click()
        qtbot.waitUntil(lambda: rows.rowCount() == 2)


def test_the_language_changes_under_a_running_conversation(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        before = texts(session)
        old = session.window
        session.set_language("zh_CN")
        qtbot.waitUntil(lambda: session.window is not old)
        qtbot.waitUntil(lambda: texts(session) == before)
        assert session.window.sidebar.new_button.text() == "新对话"
        session.set_language("en")
        qtbot.waitUntil(lambda: session.window.sidebar.new_button.text() == "New chat")


def test_every_entry_of_the_menu_leads_somewhere(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        window = session.window
        actions = (window.about_action, window.shortcuts_action, window.models_action)
        for action in (*actions, window.settings_action, window.doctor_action):
            action.trigger()
            dialog = QApplication.activeModalWidget()
            assert isinstance(dialog, QDialog)
            dialog.reject()
        window.larger_action.trigger()
        assert QApplication.font().pointSize() == session.preferences.text_size_pt
        window.normal_action.trigger()
        assert session.preferences.text_size_pt == 0
        window.panel_action.trigger()
        assert window.panel.isVisible()
        window.search_action.trigger()
        assert window.focusWidget() is window.sidebar.search


def test_regenerate_has_a_key_and_keeps_the_first_answer(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        ask(qtbot, session, "Name a tree.")
        wait_answered(qtbot, session)
        session.window.regenerate_action.trigger()
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].sibling_count == 2


def test_a_question_after_the_engine_died_while_loading_is_answered(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        path = session.models.path
        with qtbot.waitSignal(session.models.load_progressed):
            session.models.choose(path)
        with qtbot.waitSignal(session.models.load_failed):
            psutil.Process(session.engine.engine_pid).kill()
        ask(qtbot, session, "Are you there?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"


def test_coming_back_to_an_answer_being_written_shows_its_text_once(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, endless_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Write a long story about a fox.")
        with qtbot.waitSignals([session.chat.answer_streamed] * 3):
            pass
        conversation = session.chat.conversation_id
        session.chat.new_chat()
        qtbot.wait(200)
        shown: list[str] = []

        def on_branch(_: object, branch: list[ChatMessage]) -> None:
            shown[:] = [branch[-1].content]  # what came before had no view to go to

        session.chat.branch_shown.connect(on_branch)
        session.chat.answer_streamed.connect(lambda _, text: shown.append(text))
        session.chat.open(conversation)
        qtbot.waitUntil(lambda: len(shown) > 3)
        session.chat.stop()
        wait_answered(qtbot, session)
        assert "".join(shown) == session.chat.shown_branch[-1].content


def test_an_open_panel_beside_the_sidebar_is_found_so_again_after_a_restart(
    qtbot: QtBot, own_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_window, "LEAST_CHAT_PX", 100)  # the tests' screen is 800 wide
    with running_session(qtbot, own_profile, short_answers) as session:
        session.window.resize(800, 680)
        session.window.panel_action.trigger()
        assert session.window.sidebar.isVisible()
    with running_session(qtbot, own_profile) as session:
        assert session.window.panel.isVisible()
        assert session.window.sidebar.isVisible()
