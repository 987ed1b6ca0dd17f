"""A person at the real window: types, reads, stops, edits, regenerates, searches, comes back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat import ShownMessage
from r1desk.desk import Desk
from window.desk_fixture import ask, running_desk, short_answers, wait_answered, wait_ready

pytestmark = pytest.mark.native


def texts(desk: Desk) -> list[str]:
    return [message.content for message in desk.chat.shown_branch]


def test_a_newcomer_asks_and_is_answered_token_by_token(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        pieces: list[str] = []
        desk.chat.answer_streamed.connect(lambda _, text: pieces.append(text))
        ask(qtbot, desk, "What is the capital of France?")
        wait_answered(qtbot, desk)
        question, answer = desk.chat.shown_branch
        assert question.content == "What is the capital of France?"
        assert answer.state == "complete"
        assert len(pieces) > 3
        assert "".join(pieces) == answer.content
        assert answer.stats is not None
        assert answer.stats.completion_tokens > 3
        assert answer.stats.decode_tok_s > 0


def test_stop_ends_the_answer_within_200_ms_and_keeps_it(qtbot: QtBot, own_profile: Path) -> None:
    def long_answers(stored: object) -> None:
        stored.sampling = SamplingSettings(max_tokens=2000, seed=2)

    with running_desk(qtbot, own_profile, long_answers) as desk:
        wait_ready(qtbot, desk)
        ask(qtbot, desk, "Write a long story about a fox.")
        with qtbot.waitSignal(desk.chat.answer_streamed, timeout=20_000):
            pass
        ended: list[float] = []
        desk.engine.done.connect(lambda _: ended.append(time.monotonic()))
        stopped = time.monotonic()
        qtbot.keyClick(desk.window.composer.editor, Qt.Key.Key_Escape)
        wait_answered(qtbot, desk)
        qtbot.waitUntil(lambda: bool(ended), timeout=5_000)
        answer = desk.chat.shown_branch[-1]
        assert answer.state == "stopped"
        assert answer.content
        assert answer.stats is not None
        assert answer.stats.finish_reason == FinishReason.CANCELLED
        assert ended[0] - stopped < 0.2


def test_editing_and_regenerating_keep_every_version(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        ask(qtbot, desk, "Name a fruit.")
        wait_answered(qtbot, desk)
        question, first_answer = desk.chat.shown_branch
        desk.window.chat.regenerate_requested.emit(first_answer.id)
        wait_answered(qtbot, desk)
        second_answer = desk.chat.shown_branch[-1]
        assert second_answer.id != first_answer.id
        assert (second_answer.sibling_index, second_answer.sibling_count) == (1, 2)

        desk.window.chat.edit_requested.emit(question.id, "Name a vegetable.")
        wait_answered(qtbot, desk)
        edited = desk.chat.shown_branch[0]
        assert edited.content == "Name a vegetable."
        assert edited.sibling_count == 2

        desk.window.chat.sibling_requested.emit(edited.id, -1)
        qtbot.waitUntil(lambda: texts(desk)[0] == "Name a fruit.", timeout=5_000)
        desk.window.chat.sibling_requested.emit(desk.chat.shown_branch[1].id, -1)
        qtbot.waitUntil(lambda: desk.chat.shown_branch[1].id == first_answer.id, timeout=5_000)
        assert desk.chat.shown_branch[1].content == first_answer.content


def test_everything_is_found_again_after_a_restart(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        ask(qtbot, desk, "Tell me about zebras.")
        wait_answered(qtbot, desk)
        before = texts(desk)
        qtbot.keyClicks(desk.window.composer.editor, "half a thou")
    with running_desk(qtbot, own_profile) as desk:
        qtbot.waitUntil(lambda: len(desk.chat.shown_branch) == 2, timeout=10_000)
        assert texts(desk) == before
        qtbot.waitUntil(lambda: desk.window.composer.text() == "half a thou", timeout=5_000)
        assert desk.preferences.sampling.max_tokens == 48
        desk.window.sidebar.search.setText("zebra")
        rows = desk.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 1, timeout=5_000)
        assert "zebra" in rows.index(0, 0).data().lower()


def test_trash_takes_a_conversation_away_and_undo_brings_it_back(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        ask(qtbot, desk, "Short lived.")
        wait_answered(qtbot, desk)
        conversation = desk.chat.conversation_id
        desk.window.sidebar.trash_requested.emit(conversation)
        rows = desk.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 0, timeout=5_000)
        assert desk.chat.conversation_id is None
        desk.window.notices.action_button.click()
        qtbot.waitUntil(lambda: rows.rowCount() == 2, timeout=5_000)


def test_the_language_changes_under_a_running_conversation(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        ask(qtbot, desk, "Hello")
        wait_answered(qtbot, desk)
        before = texts(desk)
        old = desk.window
        desk.window.language_chosen.emit("zh_CN")
        qtbot.waitUntil(lambda: desk.window is not old, timeout=5_000)
        qtbot.waitUntil(lambda: texts(desk) == before, timeout=5_000)
        assert desk.window.sidebar.new_button.text() == "新对话"
        desk._on_language("en")
        qtbot.waitUntil(lambda: desk.window.sidebar.new_button.text() == "New chat", timeout=5_000)


def test_every_entry_of_the_menu_leads_somewhere(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        window = desk.window
        for action in (window.about_action, window.shortcuts_action, window.models_action):
            action.trigger()
            dialog = QApplication.activeModalWidget()
            assert isinstance(dialog, QDialog)
            dialog.reject()
        window.larger_action.trigger()
        assert QApplication.font().pointSize() == desk.preferences.text_size_pt
        window.normal_action.trigger()
        assert desk.preferences.text_size_pt == 0
        window.panel_action.trigger()
        assert not window.panel.isVisible()
        window.search_action.trigger()
        assert window.focusWidget() is window.sidebar.search


def test_regenerate_has_a_key_and_keeps_the_first_answer(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        ask(qtbot, desk, "Name a tree.")
        wait_answered(qtbot, desk)
        desk.window.regenerate_action.trigger()
        wait_answered(qtbot, desk)
        assert desk.chat.shown_branch[-1].sibling_count == 2


def test_a_question_after_the_engine_died_while_loading_is_answered(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_desk(qtbot, own_profile, short_answers) as desk:
        wait_ready(qtbot, desk)
        path = desk.models.path
        with qtbot.waitSignal(desk.models.load_progressed, timeout=20_000):
            desk.models.choose(path)
        with qtbot.waitSignal(desk.models.load_failed, timeout=10_000):
            os.kill(desk.engine.engine_pid, signal.SIGKILL)
        ask(qtbot, desk, "Are you there?")
        wait_answered(qtbot, desk)
        assert desk.chat.shown_branch[-1].state == "complete"


def test_coming_back_to_an_answer_being_written_shows_its_text_once(
    qtbot: QtBot, own_profile: Path
) -> None:
    def long_answers(stored: object) -> None:
        stored.sampling = SamplingSettings(max_tokens=300, seed=2)

    with running_desk(qtbot, own_profile, long_answers) as desk:
        wait_ready(qtbot, desk)
        ask(qtbot, desk, "Write a long story about a fox.")
        with qtbot.waitSignals([desk.chat.answer_streamed] * 3, timeout=20_000):
            pass
        conversation = desk.chat.conversation_id
        desk.chat.new_chat()
        qtbot.wait(200)
        shown: list[str] = []

        def on_branch(_: object, branch: list[ShownMessage]) -> None:
            shown[:] = [branch[-1].content]  # what came before had no view to go to

        desk.chat.branch_shown.connect(on_branch)
        desk.chat.answer_streamed.connect(lambda _, text: shown.append(text))
        desk.chat.open(conversation)
        wait_answered(qtbot, desk)
        assert "".join(shown) == desk.chat.shown_branch[-1].content
