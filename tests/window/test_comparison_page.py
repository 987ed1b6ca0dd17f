"""One question to several models in the window, by mouse and keys."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import BudgetTooSmall
from deepseek_r1.core.paths import starter_model
from deepseek_r1.host.comparison import Candidate, ComparisonPlanned
from r1desk.chat.values.intents import ComparisonQuestion
from r1desk.comparison.controller import ComparisonController
from r1desk.comparison.feature import ComparisonFeature
from r1desk.comparison.widgets.comparison_dialog import ComparisonDialog
from r1desk.comparison.widgets.comparison_page import ComparisonPage, differences_of
from r1desk.shell.session import Session
from r1desk.store import MessageState
from support.engine_script import EngineScript, crashes, goes_on, says
from window.mouse_and_keys import click, press, press_button, type_text
from window.session_fixture import ready_session, shown_texts

CTRL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


def ask_two(qtbot: QtBot, session: Session, question: str) -> ComparisonPage:
    """Type a question, and send it to two columns."""
    type_text(question)
    press(Qt.Key.Key_M, CTRL_SHIFT)
    dialog = session.window.findChildren(ComparisonDialog)[-1]
    qtbot.waitUntil(dialog.start.isEnabled)
    click(dialog.start)
    page = session.window.comparison
    qtbot.waitUntil(page.isVisible)
    session.window.activateWindow()  # a dialog leaves no window active on the offscreen platform
    qtbot.waitUntil(session.window.isActiveWindow)
    return page


def controller_of(session: Session) -> ComparisonController:
    return next(e.controller for e in session.features if isinstance(e, ComparisonFeature))


def texts(page: ComparisonPage) -> list[str]:
    return [column.chat.messages[0].content for column in page.columns]


def buttons(page: ComparisonPage) -> list[str]:
    return [column.button.text() for column in page.columns]


def test_one_answer_is_gone_on_with_and_the_other_stays_as_its_version(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    engine.answers(says("A pear."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        assert texts(page) == ["A pear."] * 2
        assert not session.window.composer.isVisible()
        click(page.columns[0].button)
        qtbot.waitUntil(session.window.composer.isVisible)
        assert shown_texts(session) == ["Fruit?", "A pear."]
        assert session.window.composer.text() == ""
        answer = session.window.chat.messages[1]
        assert (answer.sibling_index, answer.sibling_count) == (0, 2)
        type_text("And a nut?")
        press(Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: shown_texts(session)[2:] == ["And a nut?", "A pear."])


def test_a_stopped_column_keeps_its_text_and_a_dead_engine_says_so_in_its_own(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    engine.answers(says("Begun"), crashes())
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        assert all(text.startswith("Begun") for text in texts(page))
        states = {column.chat.messages[0].state for column in page.columns}
        assert states == {MessageState.FAILED}
        engine.answers(goes_on())
        press_button(page, "Back to the chat")
        qtbot.waitUntil(lambda: not page.isVisible())
        page = ask_two(qtbot, session, "And now?")
        qtbot.waitUntil(lambda: all("and on" in text for text in texts(page)))
        click(page.columns[1].button)
        qtbot.waitUntil(lambda: buttons(page)[1] == "Continue with this one")
        assert page.columns[1].chat.messages[0].state is MessageState.STOPPED
        press_button(page, "Stop all")
        qtbot.waitUntil(lambda: buttons(page)[0] == "Continue with this one")


def test_a_column_that_is_stopped_while_the_chats_model_goes_stops_alone(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    engine.answers(says("A pear."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        controller = controller_of(session)
        controller.begun.connect(lambda _shown: controller.press(1))
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        assert texts(page) == ["A pear.", ""]
        states = [column.chat.messages[0].state for column in page.columns]
        assert states == [MessageState.COMPLETE, MessageState.STOPPED]


def test_the_first_column_is_the_chats_model_also_after_it_was_unloaded(
    qtbot: QtBot, own_profile: Path, engine: EngineScript, shallow_starter: Path
) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        with qtbot.waitSignal(session.models.loaded):
            session.models.choose(shallow_starter)
        for _ in range(2):
            page = ask_two(qtbot, session, "Fruit?")
            qtbot.waitUntil(lambda page=page: buttons(page) == ["Continue with this one"] * 2)
            first, second = controller_of(session).shown.columns
            assert first.candidate.model == shallow_starter
            assert second.candidate.model == starter_model()
            press_button(page, "Back to the chat")
            qtbot.waitUntil(lambda page=page: not page.isVisible())


def test_a_new_window_goes_on_showing_it_and_the_trash_ends_it(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    engine.answers(goes_on())
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: all("and on" in text for text in texts(page)))
        plan, budget = page.plan.text(), session.preferences.load.memory_budget
        session.set_language("en")  # builds the window anew
        qtbot.waitUntil(lambda: session.window.comparison is not page)
        page = session.window.comparison
        qtbot.waitUntil(page.isVisible)
        assert all("and on" in text for text in texts(page))
        assert page.plan.text() == plan
        memory = session.window.gauge._memory
        qtbot.waitUntil(lambda: memory._value.endswith(f"/ {budget:,} MiB"))
        session.window.activateWindow()
        qtbot.waitUntil(session.window.isActiveWindow)
        session.window.sidebar.list.setFocus()
        press(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: not page.isVisible())
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)


def test_columns_are_tabs_in_a_narrow_window(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        session.window.resize(740, 600)
        qtbot.waitUntil(page.tabs.isVisible)
        assert [column.isVisible() for column in page.columns] == [True, False]
        page.tabs.setFocus()
        press(Qt.Key.Key_Right)
        assert [column.isVisible() for column in page.columns] == [False, True]
        assert all(isinstance(c.button, QPushButton) for c in page.columns)


def test_a_column_that_does_not_fit_the_budget_is_tried_from_the_disk(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    large = Candidate(Path("large.gguf"), name="Large")
    dialog = ComparisonDialog(parent, ComparisonQuestion("Why?"), [large, large])
    sizes = dict.fromkeys(("needed_mib", "budget_mib", "weights_mib", "kv_mib", "rest_mib"), 900)
    refused = BudgetTooSmall(**sizes, advice="").report()
    for from_disk in ([True, False], [True, True]):
        with qtbot.waitSignal(dialog.changed):
            dialog.show_plan(ComparisonPlanned((refused, refused), False, 0.0, 512))
        assert [each.load.swap_enabled for each in dialog.candidates()] == from_disk
    dialog.show_plan(ComparisonPlanned((refused, refused), False, 0.0, 512))
    assert "900" in dialog.bill.text()
    assert not dialog.start.isEnabled()


def test_words_that_differ_are_those_that_only_one_text_has() -> None:
    first, second = ["a", "pear", "is", "red"], ["a", "pear", "is", "green", "and", "red"]
    assert differences_of([first, second]) == [set(), {3, 4}]
    assert differences_of([first, second, first]) == [set(), {3, 4}, set()]
