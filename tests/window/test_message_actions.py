"""What is done with single messages: edit, delete, undo, branch, quote, select and copy."""

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QTextEdit, QWidget
from pytestqt.qtbot import QtBot

from r1desk.chat.messages.editable_message import MessageMenu
from r1desk.chat.text.message_selection import selected_text, text_boxes
from r1desk.shell.session import Session
from r1desk.store import StoreFull
from r1desk.store.conversation_store import ConversationStore
from support.engine_script import EngineScript, goes_on
from window.mouse_and_keys import NO_KEYS, click, press, press_button, type_text
from window.session_fixture import ask, notice_text, ready_session, running_session, shown_texts
from window.stored_conversations import store_conversation

pytestmark = [
    # The offscreen platform cannot put a menu in front, nor give it the keyboard.
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
]

CTRL = Qt.KeyboardModifier.ControlModifier
LONG = (
    "First **paragraph** here.\n\n```python\nx = 1\ny = 2\n```\n\n"
    "| a | b |\n|--|--|\n| 1 | 2 |\n\nLast paragraph there."
)


def opened(qtbot: QtBot, session: Session, count: int) -> list[QWidget]:
    """The widgets of the messages, once they are drawn."""
    session.window.activateWindow()  # a menu leaves no window active on the offscreen platform
    qtbot.waitUntil(session.window.isActiveWindow)
    view = session.window.chat

    def built() -> bool:
        return len(view.messages) == count and view.column.built == count

    qtbot.waitUntil(built)
    qtbot.wait(50)
    return [view.view(message.id) for message in view.messages]


def choose(message: QWidget, action: str) -> None:
    """Open the menu with the button below a message and choose an entry."""
    press_button(message, "More")
    menu = message.findChildren(MessageMenu)[-1]
    assert menu.y() > message.mapToGlobal(message.rect().center()).y()  # below its button
    entry = next(a for a in menu.actions() if a.objectName() == action)
    QTest.mouseClick(menu, Qt.MouseButton.LeftButton, NO_KEYS, menu.actionGeometry(entry).center())


def undo(session: Session) -> None:
    press_button(session.window.notices, "Undo")


def test_messages_are_edited_and_deleted_from_their_menu_and_each_change_is_undone(
    qtbot: QtBot, own_profile: Path
) -> None:
    texts = ["Apples?", "Red.", "Pears?", "Green."]
    store_conversation(own_profile, *texts)
    with running_session(qtbot, own_profile) as session:
        choose(opened(qtbot, session, 4)[2], "delete")
        qtbot.waitUntil(lambda: shown_texts(session) == texts[:2])
        undo(session)
        qtbot.waitUntil(lambda: shown_texts(session) == texts)
        choose(opened(qtbot, session, 4)[3], "delete")
        qtbot.waitUntil(lambda: shown_texts(session) == texts[:3])
        answer = opened(qtbot, session, 3)[1]
        choose(answer, "edit")
        type_text(" Or")
        press(Qt.Key.Key_Return)  # a line, not the end
        type_text("yellow.")
        press(Qt.Key.Key_Return, CTRL)
        qtbot.waitUntil(lambda: shown_texts(session)[1] == "Red. Or\nyellow.")
        opened(qtbot, session, 2)
        type_text("a draft")  # the box has the keyboard, and its own undo comes first
        press(Qt.Key.Key_Z, CTRL)
        assert session.window.composer.text() == ""
        press(Qt.Key.Key_Z, CTRL)
        qtbot.waitUntil(lambda: shown_texts(session) == texts[:3])
        press(Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.AltModifier)
        qtbot.waitUntil(lambda: shown_texts(session) == texts)
        qtbot.waitUntil(lambda: notice_text(session) == "Undone: The message was deleted.")
        assert not session.window.notices.rows[0].buttons


def test_what_is_being_edited_is_there_after_a_look_at_another_chat(qtbot, own_profile):
    store_conversation(own_profile, "Pears?", "Green.")
    store_conversation(own_profile, "Apples?", "Red.")
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(shown_texts(session)) == 2)
        shown = shown_texts(session)
        choose(opened(qtbot, session, 2)[1], "edit")
        type_text(" Or yellow.")
        press(Qt.Key.Key_PageDown, CTRL)
        qtbot.waitUntil(lambda: shown_texts(session) not in ([], shown))
        opened(qtbot, session, 2)
        session.window.composer.setFocus()
        press(Qt.Key.Key_PageUp, CTRL)
        qtbot.waitUntil(lambda: shown_texts(session) == shown)
        editor = opened(qtbot, session, 2)[1].editor
        assert editor.text() == f"{shown[1]} Or yellow."
        editor.setFocus()
        press(Qt.Key.Key_Return, CTRL)
        qtbot.waitUntil(lambda: shown_texts(session)[1] == f"{shown[1]} Or yellow.")


def test_an_edit_that_is_saved_while_an_answer_is_written_stays_in_its_editor(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    store_conversation(own_profile, "Apples?", "Red.")
    engine.answers(goes_on())
    with ready_session(qtbot, own_profile, engine=engine) as session:
        shown = opened(qtbot, session, 2)[1]
        ask(qtbot, session, "And pears?")
        qtbot.waitUntil(lambda: session.chat.answering is not None)
        shown.edit()
        type_text(" Or yellow.")
        press(Qt.Key.Key_Return, CTRL)  # not the window's, which would end the thinking
        assert shown.editor.text() == "Red. Or yellow."
        session.chat.stop()
        qtbot.waitUntil(lambda: not session.chat.busy)
        press_button(shown.editor, "Save as a version")
        qtbot.waitUntil(lambda: "Red. Or yellow." in shown_texts(session))


def test_the_last_answer_is_copied_and_its_versions_are_switched_by_keys(qtbot, own_profile):
    answer = "Red.\n\n1. Look:\n\n   ```sh\n   ls\n   ```"
    store_conversation(own_profile, "Apples?", answer)
    shift, alt = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
    with running_session(qtbot, own_profile) as session:
        shown = opened(qtbot, session, 2)[1]
        session.window.composer.setFocus()
        press(Qt.Key.Key_X, CTRL | shift)
        assert QGuiApplication.clipboard().text() == "ls"
        press(Qt.Key.Key_C, CTRL | shift)
        assert QGuiApplication.clipboard().text() == answer
        choose(shown, "edit")
        type_text("!")
        press(Qt.Key.Key_Return, CTRL)
        qtbot.waitUntil(lambda: shown_texts(session)[1] == f"{answer}!")
        opened(qtbot, session, 2)
        for key, text in ((Qt.Key.Key_Left, answer), (Qt.Key.Key_Right, f"{answer}!")):
            press(key, alt)
            qtbot.waitUntil(lambda text=text: shown_texts(session)[1] == text)


def test_an_undo_that_the_store_refuses_is_said_and_can_be_tried_again(
    qtbot: QtBot, own_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trashed = store_conversation(own_profile, "Apples?", "Red.")

    def refuse(_store: ConversationStore, _conversation: int) -> None:
        raise StoreFull(path=str(own_profile))

    with running_session(qtbot, own_profile) as session:
        opened(qtbot, session, 2)
        press(Qt.Key.Key_K, CTRL)
        press(Qt.Key.Key_Down)  # from the search into the list
        press(Qt.Key.Key_Delete, CTRL)
        qtbot.waitUntil(lambda: session.chat.conversation_id is None)
        assert notice_text(session) == "Moved to the trash: Apples?"
        with monkeypatch.context() as patch:
            patch.setattr(ConversationStore, "restore", refuse)
            for attempt in (lambda: press(Qt.Key.Key_Z, CTRL), lambda: undo(session)):
                attempt()
                qtbot.waitUntil(lambda: "the drive is full" in notice_text(session))
                assert "Moved to the trash: Apples?" in notice_text(session)
                assert session.chat.conversation_id is None
        press(Qt.Key.Key_Z, CTRL)
        qtbot.waitUntil(lambda: session.chat.conversation_id == trashed)
        qtbot.waitUntil(lambda: shown_texts(session) == ["Apples?", "Red."])
        assert notice_text(session).startswith("1 chat restored")


def test_a_new_chat_begins_at_any_message(qtbot: QtBot, own_profile: Path) -> None:
    store_conversation(own_profile, "Apples?", "Red.", "Pears?", "Green.")
    with running_session(qtbot, own_profile) as session:
        choose(opened(qtbot, session, 4)[2], "branch")
        qtbot.waitUntil(lambda: session.window.composer.text() == "Pears?")
        assert shown_texts(session) == ["Apples?", "Red."]
        qtbot.waitUntil(lambda: session.window.title.text().startswith("Branch of Apples"))


def drag(start: QTextEdit, first: QPoint, end: QTextEdit, last: QPoint) -> None:
    """Press in one box, move to another, let go there: Qt gives all of it to the first."""
    QTest.mousePress(start.viewport(), Qt.MouseButton.LeftButton, NO_KEYS, first)
    spot = start.viewport().mapFromGlobal(end.viewport().mapToGlobal(last))
    for step in (QPoint(first.x() + 3, first.y() + 3), spot):
        move_with_button(start, step)
    QTest.mouseRelease(start.viewport(), Qt.MouseButton.LeftButton, NO_KEYS, spot)


def move_with_button(box: QTextEdit, spot: QPoint) -> None:
    place = QPointF(box.viewport().mapToGlobal(spot))
    button = Qt.MouseButton.LeftButton
    event = QMouseEvent(QEvent.Type.MouseMove, QPointF(spot), place, button, button, NO_KEYS)
    QApplication.sendEvent(box.viewport(), event)


def test_text_is_selected_copied_and_quoted(qtbot: QtBot, own_profile: Path) -> None:
    store_conversation(own_profile, "Apples?", LONG)
    clipboard = QGuiApplication.clipboard()
    with running_session(qtbot, own_profile) as session:
        answer = opened(qtbot, session, 2)[1]
        boxes = text_boxes(answer)
        assert len(boxes) == 4  # text, code, a table, text
        down = boxes[-1].viewport().rect().bottomRight()
        drag(boxes[0], QPoint(0, 4), boxes[-1], down)
        press(Qt.Key.Key_C, CTRL)
        whole = "First paragraph here.\n\nx = 1\ny = 2\n\na\tb\n1\t2\n\nLast paragraph there."
        assert clipboard.text() == whole
        drag(boxes[-1], down, boxes[1], QPoint(0, 2))  # upwards
        press(Qt.Key.Key_C, CTRL)
        assert clipboard.text() == whole.partition("\n\n")[2]
        press(Qt.Key.Key_A, CTRL)
        press(Qt.Key.Key_C, CTRL)
        assert clipboard.text().startswith("First paragraph")
        assert clipboard.text().endswith("Last paragraph there.")
        click(boxes[1].viewport())
        assert selected_text(answer) == ""
        box, spot = boxes[0], QPoint(6, 8)
        QTest.mouseDClick(box.viewport(), Qt.MouseButton.LeftButton, NO_KEYS, spot)
        assert selected_text(answer).strip() == "First"
        place = box.viewport().mapToGlobal(spot)
        event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, spot, place)
        QApplication.sendEvent(box.viewport(), event)
        menu: QMenu = answer.findChildren(MessageMenu)[-1]
        assert menu.actions()[0].text().startswith("Copy the selection")
        menu.actions()[0].trigger()
        menu.close()
        assert clipboard.text().strip() == "First"
        choose(answer, "quote")
        type_text("Why?")
        assert session.window.composer.text() == "> First\n\nWhy?"
