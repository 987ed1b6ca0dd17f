"""What is done a hundred times a day: open a chat, type, search, ask the next question."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QTextEdit,
)
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.messages.stats_line import stats_line
from r1desk.chat.messages.welcome import EXAMPLES
from r1desk.conversations.conversation_intents import (
    NewChat,
    RestoreConversations,
    SetFolderSettings,
)
from r1desk.conversations.widgets.row_delegate import MORE_PX
from r1desk.conversations.widgets.row_model import ItemRole, RowState
from r1desk.platform.desktop import SystemNotices
from r1desk.preferences import Preferences
from r1desk.shell.session import Session
from r1desk.store import ConversationSettings, Profile, Store
from r1desk.widgets.notice_bar import NoticeRow
from support.awaiting import result_of
from support.engine_script import EngineScript, goes_on, says, waits, waits_for
from support.gguf_files import tiny_llama
from window.mouse_and_keys import (
    choose_file,
    click,
    click_row,
    focused,
    has_row,
    press,
    press_button,
    row_of,
    type_line,
    type_text,
)
from window.session_fixture import (
    ask,
    ask_and_wait,
    is_text,
    last_view,
    ready_session,
    running_session,
    shown_texts,
    wait_answered,
    wait_ready,
)
from window.stored_conversations import store_conversation


def wait_shown(qtbot: QtBot, session: Session, text: str) -> None:
    def shown() -> bool:
        return any(text in message.content for message in session.window.chat.messages)

    qtbot.waitUntil(shown)


def wait_rows(qtbot: QtBot, session: Session, least: int) -> None:
    rows = session.window.sidebar.list.model()
    qtbot.waitUntil(lambda: rows.rowCount() >= least)


@pytest.fixture
def fruit(qtbot: QtBot, own_profile: Path) -> Iterator[Session]:
    """A window with two conversations, of which the second is shown."""
    store_conversation(own_profile, "Apples?", "A red zebra.")
    store_conversation(own_profile, "Bananas?", "Yellow.")
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Yellow.")
        wait_rows(qtbot, session, 3)
        yield session


def test_a_click_opens_a_conversation_once(qtbot: QtBot, fruit: Session) -> None:
    opened: list[object] = []
    fruit.window.sidebar.requested.connect(opened.append)
    conversations = fruit.window.sidebar.list
    click_row(conversations, "Apples")
    wait_shown(qtbot, fruit, "A red zebra.")
    click_row(conversations, "Bananas")
    wait_shown(qtbot, fruit, "Yellow.")
    assert fruit.window.composer.editor.hasFocus()
    click_row(conversations, "Apples", double=True)
    wait_shown(qtbot, fruit, "A red zebra.")
    assert len(opened) == 3


def test_one_click_opens_a_search_hit_at_the_word(qtbot: QtBot, own_profile: Path) -> None:
    filler = "Nothing of interest is on this line.\n\n" * 60
    store_conversation(
        own_profile, "First?", f"{filler}A zebra stands here.\n\n{filler}", "And?", filler
    )
    store_conversation(own_profile, "Second?", "Yellow.")
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Yellow.")
        click(session.window.sidebar.search)
        type_text("zebra")
        wait_rows(qtbot, session, 1)
        qtbot.waitUntil(lambda: session.window.sidebar.list.model().rowCount() == 1)
        click_row(session.window.sidebar.list, "First")
        wait_shown(qtbot, session, "zebra")
        qtbot.waitUntil(lambda: marked_texts(session) == ["zebra"])
        qtbot.waitUntil(lambda: match_is_visible(session))


def marked_texts(session: Session) -> list[str]:
    fields = session.window.chat.findChildren(QTextEdit)
    return [s.cursor.selectedText() for field in fields for s in field.extraSelections()]


def match_is_visible(session: Session) -> bool:
    for field in session.window.chat.findChildren(QTextEdit):
        for selection in field.extraSelections():
            y = field.mapTo(session.window.chat, field.cursorRect(selection.cursor).center()).y()
            return 0 < y < session.window.chat.height()
    return False


def test_a_hit_in_a_former_version_says_that_it_is_one_and_the_way_back(qtbot, own_profile):
    former = store_conversation(own_profile, "Apples?", "A red zebra.")
    with Profile.open(own_profile) as profile, Store(profile.database) as store:
        edited = store.messages.append_user(former, "Bananas?", None).id
        newer = store.messages.begin_answer(former, edited, "Model").id
        store.messages.finish_answer(newer, "Yellow.")
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Yellow.")
        click(session.window.sidebar.search)
        type_text("zebra")
        press(Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: marked_texts(session) == ["zebra"])
        (notice,) = session.window.notices.findChildren(NoticeRow)
        assert "another version" in notice.notice.text
        session.window.sidebar.search.setFocus()
        press(Qt.Key.Key_Escape)
        assert marked_texts(session) == []
        press_button(notice, "Back to the version before")
        wait_shown(qtbot, session, "Yellow.")


def test_the_search_is_done_with_the_keyboard(qtbot: QtBot, fruit: Session) -> None:
    window = fruit.window
    press(Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    type_text("zebra")
    assert (window.sidebar.search.text(), window.composer.text()) == ("zebra", "")
    press(Qt.Key.Key_Return)  # before the hits are there
    wait_shown(qtbot, fruit, "A red zebra.")
    assert window.composer.editor.hasFocus()
    press(Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    type_text("yellow")
    qtbot.waitUntil(lambda: has_row(window.sidebar.list, "Bananas"))
    qtbot.waitUntil(lambda: window.sidebar.list.model().rowCount() == 1)
    press(Qt.Key.Key_Down)
    wait_shown(qtbot, fruit, "Yellow.")
    assert focused() is window.sidebar.list


def test_the_next_chat_and_the_one_before_are_opened_from_the_message_box(qtbot, fruit):
    fruit.window.composer.setFocus()
    press(Qt.Key.Key_PageDown, Qt.KeyboardModifier.ControlModifier)
    wait_shown(qtbot, fruit, "A red zebra.")
    press(Qt.Key.Key_PageUp, Qt.KeyboardModifier.ControlModifier)
    wait_shown(qtbot, fruit, "Yellow.")
    assert fruit.window.composer.editor.hasFocus()


def test_one_click_shows_what_is_in_the_trash(qtbot: QtBot, own_profile: Path) -> None:
    trashed = store_conversation(own_profile, "Apples?", "Red.")
    store_conversation(own_profile, "Bananas?", "Yellow.")
    with Profile.open(own_profile) as profile, Store(profile.database) as store:
        store.conversations.trash(trashed)
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Yellow.")
        sidebar = session.window.sidebar
        click(sidebar.trash_button)
        qtbot.waitUntil(lambda: has_row(sidebar.list, "Apples"))
        click_row(sidebar.list, "Apples")
        wait_shown(qtbot, session, "Red.")
        composer = session.window.composer
        composer.set_text("Hello?")
        with qtbot.assertNotEmitted(composer.requested):  # nothing is written into the trash
            composer.submit()
        sidebar.list.setFocus()
        press(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
        question = session.window.findChild(QMessageBox)
        assert question.text() == "Delete 1 chat for good?"
        press_button(question, "Cancel")
        sidebar.requested.emit(RestoreConversations((trashed,)))
        wait_rows(qtbot, session, 3)  # the trash is empty: all chats are shown again
        assert not sidebar.trash_button.isChecked()
        qtbot.waitUntil(lambda: not session.chat.trashed)


def test_a_chat_begun_in_a_folder_has_its_settings_and_goes_and_comes_back_with_it(qtbot, ready):
    settings, sidebar = ready.chat_feature.settings, ready.window.sidebar
    garden, rows = ready.store.run(lambda store: store.folders.create("Garden")), sidebar.list
    ready.conversations_feature.refresh()
    qtbot.waitUntil(lambda: has_row(rows, "Garden"))
    settings.apply(SamplingSettings(temperature=0.2), "Be short.")
    sidebar.requested.emit(SetFolderSettings(garden, as_shown=True))
    settings.apply(SamplingSettings(), "")
    qtbot.waitUntil(lambda: bool(sidebar.menu.folders[0].settings.system_prompt))
    click_row(rows, "Garden")
    press(Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert row_of(rows, "Garden").model().index(0, 0, row_of(rows, "Garden")).data() == "New chat"
    ask_and_wait(qtbot, ready, "Roses?")
    roses = ready.chat.conversation_id
    kept = ready.store.run(lambda store: store.conversations.settings(roses))
    assert (kept.system_prompt, kept.sampling) == ("Be short.", SamplingSettings(temperature=0.2))
    qtbot.waitUntil(lambda: rows.rows.index_of(roses).parent() == row_of(rows, "Garden"))
    click_row(rows, "Garden")
    rows.setFocus()
    press(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not has_row(rows, "Garden"))
    assert rows.rows.index_of(roses).isValid()
    sidebar.requested.emit(SetFolderSettings(garden, as_shown=True))  # of a menu still open
    ready.chat_feature.history.undo()
    qtbot.waitUntil(lambda: has_row(rows, "Garden"))
    assert "The folder “Garden” is back." in ready.window.notices.text
    assert ready.store.run(lambda store: store.conversations.get(roses)).folder_id == garden


def test_what_is_typed_after_new_chat_is_in_the_composer(qtbot: QtBot, fruit: Session) -> None:
    composer = fruit.window.composer
    click(fruit.window.sidebar.new_button)
    type_text("What")
    assert composer.text() == "What"
    assert fruit.chat.conversation_id is None
    click_row(fruit.window.sidebar.list, "Bananas")
    wait_shown(qtbot, fruit, "Yellow.")
    press(Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: composer.text() == "What")  # its draft
    type_text(" is")
    assert composer.text() == "What is"


def test_what_is_typed_before_a_chat_is_shown_stands_below_its_draft(qtbot, fruit):
    composer, rows, shown = fruit.window.composer, fruit.window.sidebar.list, threading.Event()
    click_row(rows, "Bananas")
    wait_shown(qtbot, fruit, "Yellow.")
    type_text("Are they")
    click(fruit.window.sidebar.new_button)
    fruit.store.call(lambda _store: shown.wait())
    click_row(rows, "Bananas")
    type_text("Green?")
    shown.set()
    qtbot.waitUntil(lambda: composer.text() == "Are they\n\nGreen?")
    click(fruit.window.sidebar.new_button)
    click_row(rows, "Bananas")
    qtbot.waitUntil(lambda: composer.text() == "Are they\n\nGreen?")


def test_text_typed_right_after_ctrl_n_belongs_to_the_new_chat(qtbot, ready):
    ask_and_wait(qtbot, ready, "Apples?")
    before = ready.chat.conversation_id
    type_text("a draft")
    press(Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    type_line("Pears?")
    qtbot.waitUntil(lambda: len(ready.chat.shown_branch) == 2)
    assert ready.chat.conversation_id != before
    assert ready.chat.shown_branch[0].content == "Pears?"


def test_the_preparation_of_the_next_turn_ends_when_the_user_says_so(qtbot, engine, ready):
    engine.prepares(waits(100.0))
    cross = ready.window.gauge.stop

    def click_cross() -> None:
        qtbot.waitUntil(cross.isVisible)
        click(cross)

    def begin_chat() -> None:
        press(Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)

    for end in (lambda: press(Qt.Key.Key_Escape), click_cross, begin_chat):
        ask(qtbot, ready, "Apples?")
        qtbot.waitUntil(lambda: ready.chat.preparing)
        assert ready.chat.shown_branch[-1].state == "complete"
        end()
        qtbot.waitUntil(lambda: not ready.chat.preparing)
        assert not ready.window.stop_action.isEnabled()


def test_letters_typed_on_list_page_and_buttons_go_to_the_composer(fruit: Session) -> None:
    window = fruit.window
    places = (
        window.sidebar.list,
        window.chat.column,
        window.sidebar.trash_button,
        window.menu_button,
    )
    for place in places:
        window.composer.clear()
        place.setFocus(Qt.FocusReason.TabFocusReason)
        assert place.hasFocus()
        type_text("What?")
        assert window.composer.text() == "What?", place.objectName()
    shown = [message.content for message in window.chat.messages]
    assert shown == ["Bananas?", "Yellow."]  # no other conversation was opened


def test_after_a_load_a_suggestion_and_a_regeneration_one_can_type(qtbot, own_profile, engine):
    engine.loads(waits_for(engine.gate("focus")))
    with running_session(qtbot, own_profile, engine=engine) as session:
        session.window.sidebar.new_button.setFocus()
        engine.open_gate("focus")
        wait_ready(qtbot, session)
        editor = session.window.composer.editor
        qtbot.waitUntil(editor.hasFocus)  # once its window is the active one
        press_button(session.window.chat, next(iter(EXAMPLES)))
        qtbot.waitUntil(editor.hasFocus)
        wait_answered(qtbot, session)
        press_button(last_view(session), "Regenerate")
        qtbot.waitUntil(editor.hasFocus)
        wait_answered(qtbot, session)


def test_escape_from_editing_leads_to_the_composer_and_enter_sends_an_edited_message(
    qtbot: QtBot, own_profile: Path
) -> None:
    store_conversation(own_profile, "Bananas?", "Yellow.")
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Yellow.")
        wait_ready(qtbot, session)
        session.window.composer.setFocus()
        press(Qt.Key.Key_Up)
        assert isinstance(focused(), QPlainTextEdit)
        assert focused() is not session.window.composer.editor
        press(Qt.Key.Key_Escape)
        assert focused() is session.window.composer.editor
        press(Qt.Key.Key_Up)
        press(Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
        type_line("And apples?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[0].content == "Bananas?\nAnd apples?"


def test_the_row_being_answered_is_marked_and_another_chat_waits_its_turn(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    other = store_conversation(own_profile, "Bananas?", "Yellow.")
    engine.answers(goes_on())
    with running_session(qtbot, own_profile, engine=engine) as session:
        wait_shown(qtbot, session, "Yellow.")
        wait_ready(qtbot, session)
        session.window.sidebar.requested.emit(NewChat())
        ask(qtbot, session, "Write a long story about a fox.")
        with qtbot.waitSignal(session.chat.answers.streamed, check_params_cb=is_text):
            pass
        conversations = session.window.sidebar.list
        qtbot.waitUntil(
            lambda: (
                has_row(conversations, "Write a long")
                and row_of(conversations, "Write a long").data(ItemRole.STATE) is RowState.ANSWERING
            )
        )
        assert row_of(conversations, "Bananas").data(ItemRole.STATE) is RowState.NONE
        click_row(conversations, "Bananas")
        wait_shown(qtbot, session, "Yellow.")
        type_text("And apples?")
        hint = session.window.composer.hint
        assert hint == "Press Enter to queue: another chat is being answered"
        press(Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: session.chat.shown_branch[-1].state == "queued")
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 4)
        assert session.chat.shown_branch[2].content == "And apples?"
        session.chat.answers.stop(session.chat.answering)
        qtbot.waitUntil(lambda: session.chat.answering == other)
        conversations.setCurrentIndex(row_of(conversations, "Bananas"))
        conversations.setFocus()
        press(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: session.window.composer.hint == "")
        qtbot.waitUntil(lambda: not session.chat.busy)


@pytest.mark.qt_log_ignore("This plugin does not support")
def test_esc_ends_the_answer_that_is_shown_and_a_hidden_one_ends_by_the_menu_of_its_row(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    store_conversation(own_profile, "Bananas?", "Yellow.")
    engine.answers(goes_on())
    with ready_session(qtbot, own_profile, engine=engine) as session:
        rows = session.window.sidebar.list
        session.window.sidebar.requested.emit(NewChat())
        ask(qtbot, session, "Write a long story.")
        with qtbot.waitSignal(session.chat.answers.streamed, check_params_cb=is_text):
            pass
        story = session.chat.conversation_id
        qtbot.waitUntil(lambda: has_row(rows, "Write a long"))
        click_row(rows, "Bananas")
        wait_shown(qtbot, session, "Yellow.")
        for place in (session.window.composer, session.window.sidebar.trash_button):
            place.setFocus()
            press(Qt.Key.Key_Escape)
        qtbot.wait(100)  # the answer would have ended by now
        assert session.chat.answering == story
        assert rows.selectionModel().currentIndex().data().startswith("Bananas")
        row = rows.visualRect(row_of(rows, "Write a long"))
        dots = QPoint(row.right() - MORE_PX // 2, row.center().y())
        qtbot.mouseClick(rows.viewport(), Qt.MouseButton.LeftButton, pos=dots)
        menu = QApplication.activePopupWidget()
        next(a for a in menu.actions() if a.text() == "Stop the answer").trigger()
        menu.close()
        qtbot.waitUntil(lambda: session.chat.answering is None)
        assert shown_texts(session) == ["Bananas?", "Yellow."]
        click_row(rows, "Write a long")
        wait_shown(qtbot, session, "and on")
        assert session.chat.shown_branch[-1].state == "stopped"


def test_a_message_that_still_waits_at_the_end_was_not_sent_and_can_be(qtbot, own_profile, engine):
    engine.answers(goes_on())
    with ready_session(qtbot, own_profile, engine=engine) as session:
        ask(qtbot, session, "Write a long story.")
        qtbot.waitUntil(lambda: session.chat.answering is not None)
        type_line("And then?")
        qtbot.waitUntil(lambda: session.chat.shown_branch[-1].state == "queued")
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 4)
    engine.answers(says("The end."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        wait_shown(qtbot, session, "And then?")
        row = last_view(session).ways
        assert row.label.text() == "Not sent."
        texts = [label.text() for label in last_view(session).findChildren(QLabel)]
        assert "stopped" not in texts
        qtbot.waitUntil(row.buttons[0].isVisible)
        assert row.buttons[0].text() == "Send"
        click(row.buttons[0])
        wait_shown(qtbot, session, "The end.")
        wait_answered(qtbot, session)
        states = [message.state for message in session.chat.shown_branch]
        assert states == ["complete", "stopped", "complete", "complete"]
        assert session.chat.shown_branch[-1].sibling_count == 1


def test_ctrl_f_finds_text_in_the_conversation_and_steps_through_it(qtbot, own_profile):
    filler = "Nothing of interest is on this line.\n\n" * 40
    store_conversation(
        own_profile, "A zebra?", f"{filler}One zebra, two Zebras.\n\n{filler}", "Thanks.", filler
    )
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Thanks.")
        qtbot.waitUntil(session.window.isActiveWindow)
        press(Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
        type_text("zebra")
        qtbot.waitUntil(lambda: marked_texts(session) == ["zebra", "Zebra"])
        qtbot.waitUntil(lambda: match_is_visible(session))
        press(Qt.Key.Key_Return)
        press(Qt.Key.Key_Return)  # behind the last comes the first, in the question
        qtbot.waitUntil(lambda: marked_texts(session) == ["zebra"])
        press(Qt.Key.Key_Escape)
        assert marked_texts(session) == []
        assert session.window.composer.editor.hasFocus()


def test_a_conversation_is_pinned_and_exported(qtbot, fruit, tmp_path):
    conversations = fruit.window.sidebar.list
    click_row(conversations, "Apples")
    wait_shown(qtbot, fruit, "A red zebra.")
    actions = {action.text(): action for action in conversations.actions()}
    actions["Pin"].trigger()
    first = conversations.model().index(0, 0)
    qtbot.waitUntil(lambda: first.data() == "Pinned")
    assert row_of(conversations, "Apples").row() == 1
    actions["Export…"].trigger()
    choose_file(fruit.window, tmp_path / "apples.json")
    qtbot.waitUntil((tmp_path / "apples.json").exists)


def test_a_conversation_keeps_its_system_prompt_and_sampling(qtbot, own_profile):
    store_conversation(own_profile, "Apples?", "Red.")
    store_conversation(own_profile, "Bananas?", "Yellow.")
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Yellow.")
        result_of(session.store.ask(lambda _store: None))  # after the settings
        panel = session.window.panel
        panel.answers.editor.setPlainText("Answer in French.")
        panel.answers.change(seed=7)
        click_row(session.window.sidebar.list, "Apples")  # before the changes were reported
        wait_shown(qtbot, session, "Red.")
        qtbot.waitUntil(lambda: panel.answers.editor.toPlainText() == "")
        assert session.window.chat.instructions.label.text() == ""
        assert panel.answers.settings.seed == -1
        assert session.preferences.system_prompt == ""
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Red.")
        click_row(session.window.sidebar.list, "Bananas")
        wait_shown(qtbot, session, "Yellow.")
        chat = session.window.chat
        qtbot.waitUntil(lambda: chat.instructions.label.text() == "Instructions: Answer in French.")
        assert session.window.panel.answers.settings.seed == 7


def test_an_answer_that_nobody_saw_is_marked_until_its_chat_is_opened(
    qtbot: QtBot, own_profile: Path, engine: EngineScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[str] = []
    monkeypatch.setattr(QApplication, "alert", lambda *_: announced.append("in the task bar"))
    monkeypatch.setattr(
        SystemNotices, "show", lambda _self, _key, _title, text: announced.append(text)
    )
    engine.answers(waits_for(engine.gate("apples")), says("Red."), to="Apples?")
    engine.answers(waits_for(engine.gate("pears")), says("Green."), to="Pears?")

    def unread(session: Session) -> list[str]:
        rows = session.window.sidebar.list.model()
        indexes = [rows.index(number, 0) for number in range(rows.rowCount())]
        return [i.data() for i in indexes if i.data(ItemRole.STATE) is RowState.UNREAD]

    with ready_session(qtbot, own_profile, engine=engine) as session:
        ask(qtbot, session, "Apples?")
        qtbot.waitUntil(lambda: session.chat.answering is not None)
        press(Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
        ask(qtbot, session, "Pears?")
        engine.open_gate("apples")
        qtbot.waitUntil(lambda: unread(session) == ["Apples?"])
        assert announced == [], "the window is in front"
        monkeypatch.setattr(QApplication, "activeWindow", lambda: None)
        engine.open_gate("pears")
        qtbot.waitUntil(lambda: announced == ["in the task bar", "Pears?"])
        qtbot.waitUntil(lambda: sorted(unread(session)) == ["Apples?", "Pears?"])
    monkeypatch.undo()
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "Green.")
        qtbot.waitUntil(lambda: unread(session) == ["Apples?"])
        click_row(session.window.sidebar.list, "Apples")
        qtbot.waitUntil(lambda: unread(session) == [])


def test_a_new_conversation_is_stored_with_the_settings_it_began_with(qtbot, session):
    qtbot.waitUntil(session.window.chat.isVisible)
    panel, chip = session.window.panel, session.window.chat.instructions.label
    panel.answers.editor.setPlainText("Be brief.")
    panel.answers.flush()
    assert session.preferences.system_prompt == ""
    panel.preset_row.default_button.click()
    assert session.preferences.system_prompt == "Be brief."
    assert panel.preset_row.default_button.isHidden()
    ask_and_wait(qtbot, session, "Name a fruit.")
    settings = session.chat_settings
    settings.change(settings.present[0], "")  # of this conversation
    session.window.sidebar.requested.emit(NewChat())
    assert chip.text() == "Instructions: Be brief."


def test_a_model_that_was_replaced_before_it_answered_is_not_offered(qtbot, ready, tmp_path):
    other = tiny_llama(tmp_path / "another.gguf")
    ready.models.choose(other)
    ask_and_wait(qtbot, ready, "Apples?")
    assert ready.models.path == other
    offers = ready.window.chat.findChildren(QPushButton)
    assert not any("Switch back" in b.text() for b in offers if b.isVisible())


def test_the_model_that_answered_before_is_offered_and_not_loaded_unasked(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    file = tiny_llama(tmp_path / "other-7b.gguf")  # one that is gone is not offered

    def used(stored: Preferences) -> None:
        stored.recent_models = [str(file)]

    conversation = store_conversation(own_profile, "Apples?", "Red.")
    with Profile.open(own_profile) as profile, Store(profile.database) as store:
        other = ConversationSettings(model_path=str(file))
        store.conversations.save_settings(conversation, other)
    with running_session(qtbot, own_profile, used) as session:
        wait_shown(qtbot, session, "Red.")
        wait_ready(qtbot, session)
        buttons = session.window.chat.findChildren
        qtbot.waitUntil(
            lambda: any(b.text() == "Switch back to other 7B" for b in buttons(QPushButton))
        )
        offer = next(b for b in buttons(QPushButton) if "other 7B" in b.text())
        qtbot.waitUntil(offer.isVisible)
        column = session.window.chat.column  # which it does not lie over
        qtbot.waitUntil(lambda: offer.geometry().top() > column.geometry().bottom())
        assert session.models.current is not None
        ask(qtbot, session, "And pears?")  # with the model that is there
        wait_answered(qtbot, session)
        qtbot.waitUntil(offer.isHidden)  # this one has answered now
        chosen: list[Path] = []
        session.models.load_started.connect(chosen.append)
        session.window.chat.offer_model(str(file), "other 7B")
        click(offer)
        assert chosen == [str(file)]


def test_an_answer_that_was_continued_counts_all_of_its_tokens_after_a_close_in_its_middle(
    qtbot, own_profile, engine
):
    with ready_session(qtbot, own_profile, engine=engine) as session:
        engine.answers(says("one two three "), goes_on())
        ask(qtbot, session, "Count on.")
        qtbot.waitUntil(lambda: session.chat.answer is not None)
        qtbot.waitUntil(lambda: session.chat.answer.so_far.completion_tokens > 5)
        press(Qt.Key.Key_Escape)
        wait_answered(qtbot, session)
        first = session.chat.shown_branch[-1].stats.completion_tokens
        click(last_view(session).ways.buttons[0])
        qtbot.waitUntil(lambda: session.chat.answer is not None)
        qtbot.waitUntil(lambda: session.chat.answer.so_far.completion_tokens > 5)
    with running_session(qtbot, own_profile) as session:
        wait_shown(qtbot, session, "three")
        stats = session.chat.shown_branch[-1].stats
        assert stats.completion_tokens > first + 5
        assert stats_line(stats, "").endswith("stopped")
