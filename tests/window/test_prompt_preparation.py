"""A chat of yesterday goes on at once, and its prompts go with it into nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import PrefillProgress
from deepseek_r1.core.settings import SamplingSettings
from host.scripted_engine import scripted_command
from r1desk import preferences as prefs
from r1desk.shell.session import PROMPTS_FOLDER, Session
from window.session_fixture import ask, running_session, short_answers, wait_answered, wait_ready

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]
QUESTION = "Count: " + " ".join(str(number) for number in range(60))


def segments(profile: Path) -> list[Path]:
    folder = profile / PROMPTS_FOLDER / "segments"
    return sorted(folder.glob("*.kv")) if folder.is_dir() else []


def wait_saved(qtbot: QtBot, session: Session) -> None:
    """Until the disk holds the conversation as its next turn will need it."""
    qtbot.waitUntil(
        lambda: session.prompts.state is not None and session.prompts.state.segments > 0,
    )


def unseeded(stored: prefs.Preferences) -> None:
    """Short answers without a seed: one with a seed is read in whole pieces only."""
    stored.sampling = SamplingSettings(max_tokens=48)


def test_a_reopened_chat_is_ready_before_its_next_message(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, unseeded) as session:
        ask(qtbot, session, QUESTION)
        wait_answered(qtbot, session)
        wait_saved(qtbot, session)
    with running_session(qtbot, own_profile, unseeded) as session:
        restored: list[PrefillProgress] = []

        def on_event(event: object) -> None:
            if isinstance(event, PrefillProgress):
                restored.append(event)

        session.engine.event.connect(on_event)
        wait_ready(qtbot, session)
        qtbot.waitUntil(lambda: bool(restored))
        assert restored[-1].cached == restored[-1].total > 150
        ask(qtbot, session, "Go on.")
        wait_answered(qtbot, session)
        stats = session.chat.shown_branch[-1].stats
        assert stats is not None
        assert stats.cached_tokens == restored[0].total


def test_a_question_stopped_while_it_is_read_is_not_read_on(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, unseeded) as session:
        wait_ready(qtbot, session)
        read: list[PrefillProgress] = []

        def on_event(event: object) -> None:
            if isinstance(event, PrefillProgress):
                read.append(event)

        session.engine.event.connect(on_event)
        editor = session.window.composer.editor
        QGuiApplication.clipboard().setText(" ".join(str(number) for number in range(1200)))
        qtbot.keyClick(editor, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
        qtbot.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: bool(read))
        qtbot.keyClick(editor, Qt.Key.Key_Escape)
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "stopped"
        read.clear()
        qtbot.wait(1000)
        assert all(each.done == each.cached for each in read)  # nothing was computed


def scripted(stored: prefs.Preferences) -> None:
    """A model that the scripted engine loads."""
    stored.model_path = "wait=0"


@pytest.mark.parametrize("way", ["escape", "cross", "new chat"])
def test_the_preparation_of_the_next_turn_ends_when_the_user_says_so(
    qtbot: QtBot, own_profile: Path, way: str
) -> None:
    with running_session(qtbot, own_profile, scripted, scripted_command()) as session:
        window = session.window
        wait_ready(qtbot, session)
        ask(qtbot, session, "say=hello prepare: wait=100")
        qtbot.waitUntil(lambda: session.chat.preparing)
        assert session.chat.shown_branch[-1].state == "complete"
        if way == "escape":
            qtbot.keyClick(window.composer.editor, Qt.Key.Key_Escape)
        elif way == "cross":
            cross = window.gauge.findChild(QToolButton)
            qtbot.waitUntil(cross.isVisible)
            qtbot.mouseClick(cross, Qt.MouseButton.LeftButton)
        else:
            qtbot.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: not session.chat.preparing)
        assert not window.stop_action.isEnabled()


def test_text_typed_right_after_ctrl_n_belongs_to_the_new_chat(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, scripted, scripted_command()) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "say=hello")
        wait_answered(qtbot, session)
        before = session.chat.conversation_id
        editor = session.window.composer.editor
        qtbot.keyClicks(editor, "a draft")
        qtbot.keyClick(editor, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
        qtbot.keyClicks(editor, "say=new")
        qtbot.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        assert session.chat.conversation_id != before
        assert session.chat.shown_branch[0].content == "say=new"


def test_a_conversation_that_is_deleted_for_good_leaves_nothing(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        ask(qtbot, session, QUESTION)
        wait_answered(qtbot, session)
        wait_saved(qtbot, session)
        conversation = session.chat.conversation_id
        assert conversation is not None
        session.store.call(lambda store: store.conversations.trash(conversation))
        session.prompts.retain_present()
        qtbot.wait(200)
        assert segments(own_profile)  # it can still be taken out of the trash
        session.store.call(lambda store: store.conversations.purge([conversation]))
        session.conversations.purged.emit()
        qtbot.waitUntil(lambda: not segments(own_profile))


def test_nothing_is_kept_or_computed_by_those_who_want_that(
    qtbot: QtBot, own_profile: Path
) -> None:
    def nothing(stored: prefs.Preferences) -> None:
        short_answers(stored)
        off = {"disk_mib": 0, "prepare_next_turn": False}
        stored.prompts = stored.prompts.model_copy(update=off)

    with running_session(qtbot, own_profile, nothing) as session:
        ask(qtbot, session, "Say hello.")
        wait_answered(qtbot, session)
        progress: list[object] = []
        session.engine.event.connect(progress.append)
        qtbot.wait(500)
        assert progress == []
    assert not (own_profile / PROMPTS_FOLDER).exists()


def test_switched_off_in_the_panel_the_disk_is_cleared(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        ask(qtbot, session, QUESTION)
        wait_answered(qtbot, session)
        wait_saved(qtbot, session)
        row = session.window.panel.next_turn.rows["disk_mib"]
        assert "MiB on disk" in row.cost.text()
        row.spin.setValue(0)
        qtbot.waitUntil(lambda: not segments(own_profile))
        assert session.preferences.prompts.disk_mib == 0
