"""One question to several models in the window, by mouse and keys."""

import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from deepseek_r1.core.errors import BudgetTooSmall, EngineFailed
from deepseek_r1.core.messages import Role
from deepseek_r1.core.paths import STARTER_NAME, starter_model
from deepseek_r1.host.comparison import Candidate, ComparisonPlanned
from deepseek_r1.host.protocol import GenerateRequest
from deepseek_r1.host.sharing_protocol import ModelWanted
from r1desk.chat.values.intents import AnswerNow, AskOthers, Regenerate
from r1desk.comparison.feature import ComparisonFeature
from r1desk.comparison.widgets import comparison_page
from r1desk.comparison.widgets.comparison_dialog import ComparisonDialog
from r1desk.comparison.widgets.comparison_page import ComparisonPage, differences_of
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Later
from r1desk.shell.session import Session
from r1desk.store import ChatMessage, MessageState
from support.engine_script import EngineScript, crashes, goes_on, says, thinks_on, waits_for
from window.mouse_and_keys import click, drop, press, press_button, type_line, type_text
from window.session_fixture import ready_session, running_session, shown_texts, wait_answered

CTRL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


def ask_two(qtbot: QtBot, session: Session, question: str) -> ComparisonPage:
    """Type a question when nothing else is written, and send it to two columns."""
    feature = feature_of(session)
    qtbot.waitUntil(lambda: not feature.controller.busy)
    type_text(question)
    press(Qt.Key.Key_M, CTRL_SHIFT)
    dialog = session.window.findChildren(ComparisonDialog)[-1]
    qtbot.waitUntil(dialog.start.isEnabled)
    assert dialog.question.toPlainText() == question
    qtbot.keyClick(dialog.question, Qt.Key.Key_Return)  # as in the message box
    qtbot.waitUntil(lambda: feature.page is not None and feature.page.isVisible())
    session.window.activateWindow()  # a dialog leaves no window active on the offscreen platform
    qtbot.waitUntil(session.window.isActiveWindow)
    return feature.page


@contextmanager
def two_that_go_on(qtbot, own_profile, engine):
    """A window whose two columns are writing, and do not end by themselves."""
    engine.answers(goes_on())
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: all("and on" in text for text in texts(page)))
        yield session, page


def feature_of(session: Session) -> ComparisonFeature:
    return next(each for each in session.features if isinstance(each, ComparisonFeature))


def wait_ended(qtbot: QtBot, session: Session) -> None:
    """Until the engines have ended, and another comparison may begin."""
    qtbot.waitUntil(lambda: session.engine.comparison is None)


def texts(page: ComparisonPage) -> list[str]:
    return [column.chat.messages[0].content for column in page.columns]


def buttons(page: ComparisonPage) -> list[str]:
    return [column.button.text() for column in page.columns]


def test_of_two_columns_or_tabs_one_is_gone_on_with_and_the_other_stays_as_its_version(
    qtbot, own_profile, engine
):
    engine.answers(says("A pear."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        assert texts(page) == ["A pear."] * 2
        assert not session.window.composer.isVisible()
        session.window.resize(740, 600)
        qtbot.waitUntil(page.tabs.isVisible)
        assert [column.isVisible() for column in page.columns] == [True, False]
        page.tabs.setFocus()
        press(Qt.Key.Key_Right)
        assert [column.isVisible() for column in page.columns] == [False, True]
        press(Qt.Key.Key_Left)
        click(page.columns[0].button)
        qtbot.waitUntil(session.window.composer.isVisible)
        assert shown_texts(session) == ["Fruit?", "A pear."]
        assert session.window.composer.text() == ""
        answer = session.window.chat.messages[1]
        assert (answer.sibling_index, answer.sibling_count) == (0, 2)
        type_line("And a nut?")
        qtbot.waitUntil(lambda: shown_texts(session)[2:] == ["And a nut?", "A pear."])


def test_the_model_of_the_answer_that_is_gone_on_with_writes_the_next_ones(
    qtbot: QtBot, own_profile: Path, engine: EngineScript, shallow_starter: Path
) -> None:
    engine.answers(says("A pear."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        with qtbot.waitSignal(session.models.loaded):
            session.models.choose(shallow_starter)
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        with qtbot.waitSignal(session.models.loaded):
            click(page.columns[1].button)
        assert session.models.loaded_path == starter_model()
        qtbot.waitUntil(session.window.composer.isVisible)
        wait_ended(qtbot, session)
        type_line("And a nut?")
        qtbot.waitUntil(lambda: shown_texts(session)[2:] == ["And a nut?", "A pear."])
        assert session.chat.shown_branch[-1].model_name == STARTER_NAME
        page = ask_two(qtbot, session, "And now?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        wait_ended(qtbot, session)
        press(Qt.Key.Key_Escape)
        qtbot.waitUntil(session.window.composer.isVisible)
        qtbot.waitUntil(lambda: session.chat.shown_branch[-1].sibling_index == 0)
        assert session.models.next_path == starter_model()
        assert not session.models.loading


def test_one_that_is_gone_on_with_early_waits_until_the_other_engines_have_ended(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with two_that_go_on(qtbot, own_profile, engine) as (session, page):
        click(page.columns[1].button)
        qtbot.waitUntil(lambda: buttons(page) == ["Stop", "Continue with this one"])
        beside: list[object] = []
        session.models.load_started.connect(lambda _: beside.append(session.engine.comparison))
        click(page.columns[1].button)
        qtbot.waitUntil(session.window.composer.isVisible)
        qtbot.waitUntil(lambda: beside == [None])
        assert session.chat.shown_branch[-1].sibling_index == 1


def test_a_load_that_begins_while_the_question_is_stored_is_not_beside_the_comparison(
    qtbot: QtBot, own_profile: Path, engine: EngineScript, shallow_starter: Path
) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        controller = feature_of(session).controller
        begin = controller.begin

        def begin_and_load(*what: object) -> None:
            begin(*what)
            session.models.choose(shallow_starter)

        controller.begin = begin_and_load
        page = ask_two(qtbot, session, "Fruit?")
        wait_ended(qtbot, session)
        assert [column.chat.messages[0].state for column in page.columns] == ["stopped"] * 2
        qtbot.waitUntil(lambda: session.models.loaded_path == shallow_starter)


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
        wait_ended(qtbot, session)
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
        controller = feature_of(session).controller
        controller.begun.connect(lambda: controller.stop(1))
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        assert texts(page) == ["A pear.", ""]
        states = [column.chat.messages[0].state for column in page.columns]
        assert states == [MessageState.COMPLETE, MessageState.STOPPED]


def test_the_first_column_is_the_chats_model_also_after_it_was_unloaded(
    qtbot, own_profile, engine, shallow_starter, monkeypatch
):
    with ready_session(qtbot, own_profile, engine=engine) as session:
        with qtbot.waitSignal(session.models.loaded):
            session.models.choose(shallow_starter)
        asked: list[Candidate] = []
        controller = feature_of(session).controller
        begin = controller.begin

        def noting(question: ChatMessage, candidates: list[Candidate], planned: object) -> None:
            asked[:] = candidates
            begin(question, candidates, planned)

        monkeypatch.setattr(controller, "begin", noting)
        for _ in range(2):
            page = ask_two(qtbot, session, "Fruit?")
            qtbot.waitUntil(lambda page=page: buttons(page) == ["Continue with this one"] * 2)
            wait_ended(qtbot, session)
            assert [each.model for each in asked] == [shallow_starter, starter_model()]
            press_button(page, "Back to the chat")
            qtbot.waitUntil(lambda page=page: not page.isVisible())


def test_a_new_window_goes_on_showing_it_and_the_trash_ends_it(qtbot, own_profile, engine):
    with two_that_go_on(qtbot, own_profile, engine) as (session, old):
        plan, budget = old.plan.text(), session.preferences.load.memory_budget
        session.set_language("en")  # builds the window anew
        qtbot.waitUntil(lambda: feature_of(session).page is not old)
        page = feature_of(session).page
        qtbot.waitUntil(page.isVisible)
        assert all("and on" in text for text in texts(page))
        assert page.plan.text() == plan
        memory = session.window.gauge.memory
        qtbot.waitUntil(lambda: memory.text().endswith(f"/ {budget / 1024:.1f} GB"))
        session.window.activateWindow()
        qtbot.waitUntil(session.window.isActiveWindow)
        session.window.sidebar.list.setFocus()
        press(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: not page.isVisible())
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)


def test_a_window_that_is_closed_in_the_middle_keeps_the_text_of_all_columns(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with two_that_go_on(qtbot, own_profile, engine):
        pass
    with ready_session(qtbot, own_profile, engine=engine) as session:
        session.chat.open(1)
        qtbot.waitUntil(lambda: len(session.window.chat.messages) == 2)
        answer = session.window.chat.messages[1]
        assert "and on" in answer.content
        assert (answer.state, answer.sibling_count) == (MessageState.STOPPED, 2)


def test_a_lowered_budget_ends_the_column_that_does_not_fit_any_more(qtbot, own_profile, engine):
    with two_that_go_on(qtbot, own_profile, engine) as (session, page):
        needed_mib = feature_of(session).controller.planned.together_mib
        session.models.keep_settings(memory_budget=int(needed_mib) - 200)
        qtbot.waitUntil(lambda: buttons(page) == ["Stop", "Continue with this one"])
        assert "the memory budget is" in page.columns[1].chat.messages[0].error_text
        click(page.columns[1].button)  # the other one ends with that
        qtbot.waitUntil(session.window.composer.isVisible)
        wait_ended(qtbot, session)
        assert shown_texts(session)[1] == texts(page)[1]


def test_no_comparison_begins_beside_a_load(qtbot, own_profile, engine):
    gate = engine.gate("loading")
    engine.loads(waits_for(gate))
    with running_session(qtbot, own_profile, engine=engine) as session:
        qtbot.waitUntil(lambda: session.models.loading)
        press(Qt.Key.Key_M, CTRL_SHIFT)
        qtbot.waitUntil(lambda: "Wait until the answer" in session.window.notices.text)
        assert session.window.findChildren(ComparisonDialog) == []
        engine.open_gate("loading")
        qtbot.waitUntil(lambda: session.models.ready)


def test_another_programs_request_does_not_end_a_comparison(qtbot, own_profile, engine):
    with two_that_go_on(qtbot, own_profile, engine) as (session, page):
        session.serving._on_received(ModelWanted())
        qtbot.wait(50)
        assert not session.models.loading
        assert buttons(page) == ["Stop", "Stop"]
        press_button(page, "Stop all")
        wait_ended(qtbot, session)


def test_an_error_of_a_closed_dialog_is_nobodys(qtbot, own_profile, engine):
    with ready_session(qtbot, own_profile, engine=engine) as session:
        session.window.chat.requested.emit(AskOthers())
        (dialog,) = session.window.findChildren(ComparisonDialog)
        planning = Later()
        dialog._planner = SimpleNamespace(plan=lambda _candidates: planning)
        dialog._on_changed()
        qtbot.waitUntil(dialog.isVisible)
        dialog.reject()
        qtbot.waitUntil(lambda: not isValid(dialog))
        planning.end(EngineFailed(detail="late"))
        qtbot.wait(50)
        assert session.window.notices.text == ""


def test_differences_that_are_found_after_their_page_has_gone_are_not_marked(qtbot, monkeypatch):
    may_go = threading.Event()
    monkeypatch.setattr(comparison_page, "differences_of", lambda _texts: may_go.wait())
    answers = [ChatMessage(n, Role.ASSISTANT, "A pear.", model_name="M") for n in (1, 2)]
    qtbot.addWidget(parent := QWidget())
    page = ComparisonPage("Fruit?", "", answers, parent)
    page.differences.setChecked(True)
    page.deleteLater()
    qtbot.waitUntil(lambda: not isValid(page))
    may_go.set()
    qtbot.wait(50)  # a bug would be reported by now


def test_all_columns_are_given_the_same_passages_of_the_chats_documents(
    qtbot: QtBot, own_profile: Path, engine: EngineScript, tmp_path: Path
) -> None:
    gates = (f"Gate {n}. The warden is Ann{n}. " + "Nothing happened. " * 40 for n in range(300))
    (gazette := tmp_path / "gates.txt").write_text("\n\n".join(gates), encoding="utf-8")
    engine.answers(says("Ann44 [1]."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        drop(session.window, gazette)
        qtbot.waitUntil(lambda: len(session.chat_feature.documents.draft) == 1)
        page = ask_two(qtbot, session, "Who is the warden of gate 44?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        wait_ended(qtbot, session)
        asked = [each.messages for each in engine.received(GenerateRequest)]
        assert len(asked) == 2
        assert asked[0] == asked[1]
        assert "Ann44" in asked[0][-1].content
        assert asked[0][-1].content.endswith("Who is the warden of gate 44?")
        click(page.columns[1].button)
        qtbot.waitUntil(session.window.composer.isVisible)
        sent = session.chat.shown_branch[-1].sources.sent
        assert any("Ann44" in each.passage.text for each in sent)


def test_the_dialog_knows_the_models_of_the_last_time(qtbot):
    class NoBills:
        def plan(self, candidates: list[Candidate]) -> Later[ComparisonPlanned]:
            planned = ComparisonPlanned((), True, 0.0, 512, 0.0)
            return ask_in_background(lambda: planned)

    parent = QWidget()
    qtbot.addWidget(parent)
    models = [Candidate(Path(f"{name}.gguf"), name=name) for name in "abcd"]
    dialog = ComparisonDialog(
        parent,
        ChatMessage(0, Role.USER, "Why?"),
        models,
        NoBills(),
        last=["gone.gguf", "d.gguf", "a.gguf", "c.gguf"],
        no_thinking={"d.gguf"},
    )
    dialog.show()
    assert [each.model.currentText() for each in dialog.choices] == ["a", "d"]
    click(dialog.third)
    assert [each.model.currentText() for each in dialog.choices] == ["a", "d", "c"]
    assert [each.thinking.isEnabled() for each in dialog.choices] == [True, False, True]


def test_the_dialog_says_which_chat_the_question_goes_into_and_what_reading_it_costs(
    qtbot, own_profile, engine
):
    engine.answers(says("A pear."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        for words in ("begins a new chat", "goes into this chat. Each model first reads the "):
            type_text("Nuts?")
            press(Qt.Key.Key_M, CTRL_SHIFT)
            dialog = session.window.findChildren(ComparisonDialog)[-1]
            qtbot.waitUntil(dialog.isVisible)
            assert any(words in label.text() for label in dialog.findChildren(QLabel))
            assert not dialog.choices[1].temperature.isVisible()
            click(dialog.advanced)
            assert dialog.choices[1].temperature.isVisible()
            dialog.reject()
            session.window.activateWindow()
            qtbot.waitUntil(session.window.isActiveWindow)
            press(Qt.Key.Key_Return)
            wait_answered(qtbot, session)


def test_a_column_that_does_not_fit_the_budget_is_tried_from_the_disk(qtbot):
    sizes = dict.fromkeys(("needed_mib", "budget_mib", "weights_mib", "kv_mib", "rest_mib"), 900)
    refused = BudgetTooSmall(**sizes, advice="").report()
    tried: list[list[bool]] = []

    def plan(candidates: list[Candidate]) -> ComparisonPlanned:
        tried.append([each.load.swap_enabled for each in candidates])
        return ComparisonPlanned((refused, refused), False, 0.0, 512, 0.0)

    class Bills:
        def plan(self, candidates: list[Candidate]) -> Later[ComparisonPlanned]:
            return ask_in_background(lambda: plan(candidates))

    parent = QWidget()
    qtbot.addWidget(parent)
    large = Candidate(Path("large.gguf"), name="Large")
    question = ChatMessage(0, Role.USER, "Why?")
    dialog = ComparisonDialog(parent, question, [large, large], Bills())
    qtbot.waitUntil(lambda: "900" in dialog.bill.text())
    assert tried == [[False, False], [True, False], [True, True]]
    assert not dialog.start.isEnabled()
    dialog.choices[0].from_disk.click()
    qtbot.waitUntil(lambda: "900" in dialog.bill.text())
    assert tried[3:] == [[False, True]], "who unticks it is not overruled"
    assert not dialog.choices[0].from_disk.isChecked()


def test_what_changes_an_answer_goes_on_with_it_first(qtbot, own_profile, engine):
    engine.answers(says("A pear."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: buttons(page) == ["Continue with this one"] * 2)
        page.columns[0].chat.requested.emit(Regenerate(page.columns[0].key))
        qtbot.waitUntil(session.window.chat.isVisible)
        qtbot.waitUntil(lambda: session.window.chat.messages[-1].sibling_count == 3)
        assert shown_texts(session)[0] == "Fruit?"


def test_answer_now_ends_the_thinking_of_its_column(qtbot, own_profile, engine):
    engine.answers(thinks_on(), says("A pear."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        page = ask_two(qtbot, session, "Fruit?")
        qtbot.waitUntil(lambda: all(each.chat.messages[0].thinking for each in page.columns))
        page.columns[0].chat.requested.emit(AnswerNow())
        qtbot.waitUntil(lambda: buttons(page)[0] == "Continue with this one")
        assert page.isVisible()
        assert buttons(page)[1] == "Stop"
        press_button(page, "Stop all")
        qtbot.waitUntil(lambda: buttons(page)[1] == "Continue with this one")


def test_words_that_differ_are_those_that_only_one_text_has() -> None:
    first, second = ["a", "pear", "is", "red"], ["a", "pear", "is", "green", "and", "red"]
    assert differences_of([first, second]) == [set(), {3, 4}]
    assert differences_of([first, second, first]) == [set(), {3, 4}, set()]
