"""A conversation that has filled the context goes on in each of the ways that the card offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat.context_options import ContextWay
from r1desk.chat.widgets.answer_view import AnswerView
from r1desk.chat.widgets.user_view import UserView
from r1desk.performance.widgets.panel import PanelTab
from r1desk.shell.session import Session
from r1desk.store import Profile, Store
from window.mouse_and_keys import click, press, type_text, wait_still
from window.session_fixture import ask, running_session, wait_answered, wait_ready
from window.stored_conversations import store_conversation

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]
LONG = " ".join(f"The {n}th sheep jumps over the fence." for n in range(24))
TURNS = ("Count sheep.", LONG, "Count more sheep.", LONG)


def small_context(stored: prefs.Preferences) -> None:
    stored.load = stored.load.model_copy(update={"context_length": 512})
    stored.sampling = SamplingSettings(max_tokens=40, seed=1)


def last_view(session: Session) -> AnswerView:
    view = session.window.chat.view(session.chat.shown_branch[-1].id)
    assert isinstance(view, AnswerView)
    return view


def ask_too_much(qtbot: QtBot, session: Session) -> AnswerView:
    """Ask a question for which the context has no room, and wait for the card."""
    wait_ready(qtbot, session)
    ask(qtbot, session, "How many were there?")
    wait_answered(qtbot, session)
    qtbot.waitUntil(lambda: session.context.overflow.options is not None)
    view = last_view(session)
    assert view.card is not None
    assert session.chat.shown_branch[-1].state == "failed"
    return view


def choose(session: Session, way: ContextWay) -> None:
    options = session.context.overflow.options
    view = last_view(session)
    assert options is not None
    assert view.card is not None
    position = next(i for i, option in enumerate(options.options) if option.way is way)
    click(view.card.buttons[position])


def wait_completed(qtbot: QtBot, session: Session, question: str) -> None:
    def completed() -> bool:
        branch = session.chat.shown_branch
        answered = len(branch) > 1 and branch[-2].content == question
        return answered and branch[-1].state == "complete" and not session.chat.busy

    qtbot.waitUntil(completed)


def test_the_oldest_messages_are_left_out_and_a_line_shows_it(
    qtbot: QtBot, own_profile: Path
) -> None:
    store_conversation(own_profile, *TURNS)
    with running_session(qtbot, own_profile, small_context) as session:
        view = ask_too_much(qtbot, session)
        assert all(view.card.prices())
        choose(session, ContextWay.LEAVE_OUT)
        wait_completed(qtbot, session, "How many were there?")
        branch = session.chat.shown_branch
        assert [m.content for m in branch[:4]] == list(TURNS)  # nothing is deleted
        begins = next(m for m in branch if m.memory_start)
        assert begins.id != branch[0].id
        stats = branch[-1].stats
        assert stats is not None
        assert stats.prompt_tokens + 40 <= 512
        line = session.window.chat.view(begins.id)
        assert isinstance(line, UserView)
        assert line.memory_line is not None
        click(line.memory_line.buttons[2])  # read all of it
        qtbot.waitUntil(lambda: not any(m.memory_start for m in session.chat.shown_branch))
    with running_session(qtbot, own_profile, small_context) as session:  # it was stored
        qtbot.waitUntil(lambda: bool(session.chat.shown_branch))
        assert not any(m.memory_start for m in session.chat.shown_branch)


def test_the_ways_are_offered_again_after_a_restart(qtbot: QtBot, own_profile: Path) -> None:
    store_conversation(own_profile, *TURNS)
    with running_session(qtbot, own_profile, small_context) as session:
        ask_too_much(qtbot, session)
    with running_session(qtbot, own_profile, small_context) as session:
        qtbot.waitUntil(lambda: session.context.overflow.options is not None)
        card = last_view(session).card
        assert card is not None
        assert len(card.buttons) >= 3


def test_a_longer_context_answers_the_same_question(qtbot: QtBot, own_profile: Path) -> None:
    store_conversation(own_profile, *TURNS)
    with running_session(qtbot, own_profile, small_context) as session:
        ask_too_much(qtbot, session)
        choose(session, ContextWay.LONGER)
        wait_completed(qtbot, session, "How many were there?")
        assert session.models.current is not None
        assert session.models.current.facts.context_length == 1024
        assert not any(m.memory_start for m in session.chat.shown_branch)


def test_after_a_longer_context_from_the_panel_the_card_just_goes_on(
    qtbot: QtBot, own_profile: Path
) -> None:
    store_conversation(own_profile, *TURNS)
    with running_session(qtbot, own_profile, small_context) as session:
        ask_too_much(qtbot, session)
        window = session.window
        window.open_panel(PanelTab.CONVERSATION)
        spin = window.panel.load.rows["context_length"].spin
        spin.setFocus()
        spin.selectAll()
        type_text("2048")
        press(Qt.Key.Key_Tab)
        qtbot.waitUntil(window.panel.message.apply_button.isVisible)
        wait_still(qtbot, window.panel.message.apply_button)
        click(window.panel.message.apply_button)
        press(Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)

        def offers_one_way() -> bool:
            options = session.context.overflow.options
            return options is not None and [o.way for o in options.options] == [ContextWay.FITS]

        qtbot.waitUntil(offers_one_way)
        card = last_view(session).card
        assert card is not None
        assert "fits by now" in card.heading()
        choose(session, ContextWay.FITS)
        wait_completed(qtbot, session, "How many were there?")


def test_a_new_branch_begins_with_a_summary_and_the_old_one_stays(
    qtbot: QtBot, own_profile: Path
) -> None:
    store_conversation(own_profile, *TURNS)
    with running_session(qtbot, own_profile, small_context) as session:
        ask_too_much(qtbot, session)
        old = [message.content for message in session.chat.shown_branch]
        choose(session, ContextWay.SUMMARY)
        wait_completed(qtbot, session, "How many were there?")
        branch = session.chat.shown_branch
        request, summary = branch[-4], branch[-3]
        assert request.sibling_count == 2
        assert summary.memory_start
        assert summary.content
        stats = branch[-1].stats
        assert stats is not None
        assert stats.prompt_tokens < 300  # the summary in place of the sheep
        session.chat.select_sibling(request.id, -1)
        qtbot.waitUntil(lambda: [m.content for m in session.chat.shown_branch] == old)


def test_a_conversation_goes_past_its_context_three_times_and_loses_nothing(
    qtbot: QtBot, own_profile: Path
) -> None:
    conversation = store_conversation(own_profile, *TURNS)
    asked = []

    def ask_until_full(session: Session, question: str) -> list[str]:
        """Ask the same until the card is there; returns the branch, without the empty answer."""
        for _ in range(6):
            asked.append(question)
            ask(qtbot, session, question)
            wait_answered(qtbot, session)
            if session.chat.shown_branch[-1].state == "failed":
                break
        qtbot.waitUntil(lambda: session.context.overflow.options is not None)
        return [message.content for message in session.chat.shown_branch[:-1]]

    with running_session(qtbot, own_profile, small_context) as session:
        wait_ready(qtbot, session)
        first = ask_until_full(session, "How many were there?")
        choose(session, ContextWay.LONGER)
        wait_completed(qtbot, session, "How many were there?")
        assert [m.content for m in session.chat.shown_branch[:-1]] == first
        second = ask_until_full(session, LONG)
        choose(session, ContextWay.LEAVE_OUT)
        wait_completed(qtbot, session, LONG)
        assert [m.content for m in session.chat.shown_branch[:-1]] == second
        begins = next(m for m in session.chat.shown_branch if m.memory_start)
        view = session.window.chat.view(begins.id)
        assert isinstance(view, UserView)
        assert view.memory_line is not None
        assert not view.memory_line.isHidden()
        third = ask_until_full(session, LONG)
        choose(session, ContextWay.SUMMARY)
        wait_completed(qtbot, session, LONG)
        assert session.chat.shown_branch[-3].memory_start
        assert [m.content for m in session.chat.shown_branch[:-4]] == third[:-1]
    with Profile.open(own_profile) as profile, Store(profile.database) as store:
        stored = [message.content for message in store.messages.all_of(conversation)]
    assert all(stored.count(text) >= third.count(text) for text in third)
    assert all(stored.count(text) >= asked.count(text) for text in asked)


def test_a_cut_answer_goes_on_as_the_uncut_one(qtbot: QtBot, own_profile: Path) -> None:
    def greedy(stored: prefs.Preferences) -> None:
        stored.sampling = SamplingSettings(max_tokens=36, temperature=0.0)

    with running_session(qtbot, own_profile, greedy) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Write about the sea.")
        wait_answered(qtbot, session)
        uncut = session.chat.shown_branch[-1].content
        session.window.sidebar.new_requested.emit()
        session.chat_settings.set_sampling(SamplingSettings(max_tokens=12, temperature=0.0))
        ask(qtbot, session, "Write about the sea.")
        wait_answered(qtbot, session)
        begun = session.chat.shown_branch[-1].content
        assert begun
        row = last_view(session).continue_row
        assert row is not None
        session.chat_settings.set_sampling(SamplingSettings(max_tokens=24, temperature=0.0))
        click(row.buttons[0])
        wait_answered(qtbot, session)
        continued = session.chat.shown_branch[-1].content
        assert continued.startswith(begun)
        assert continued == uncut
        assert last_view(session).body.source == continued
