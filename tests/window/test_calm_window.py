"""Keys work where a person just clicked, and nothing moves that nobody moved."""

import pytest
from PySide6.QtCore import QPoint, QRect, Qt, QTimer
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication, QMenu

from deepseek_r1.catalogue.download_spec import DownloadPhase, DownloadProgress, DownloadSpec
from r1desk.chat.messages.answer_view import AnswerView
from r1desk.chat.messages.user_view import UserView
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.models.downloads import Download, DownloadState
from r1desk.models.widgets.download_list import DownloadRow
from r1desk.shell.session import Session
from r1desk.theme.theme import tokens
from r1desk.widgets import notice_bar
from r1desk.widgets.notice_bar import Level, Notice
from support.patience import PatientQtBot
from window.mouse_and_keys import click, press, press_button, type_text
from window.session_fixture import ask_and_wait

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def answered(qtbot: PatientQtBot, ready: Session) -> Session:
    """A chat with one answer; the keyboard is in the message box, as after a click on a chat."""
    ask_and_wait(qtbot, ready, "Hello")
    ready.window.composer.setFocus()
    qtbot.waitUntil(lambda: ready.window.sidebar.list.selected_ids() != [])
    return ready


def test_ctrl_delete_moves_the_shown_chat_to_the_trash_from_an_empty_message_box(qtbot, answered):
    type_text("two words")
    press(Qt.Key.Key_Home)
    press(Qt.Key.Key_Delete, CONTROL)
    assert answered.window.composer.text() == "words", "in a text it deletes a word"
    answered.window.composer.clear()
    press(Qt.Key.Key_Delete, CONTROL)
    qtbot.waitUntil(lambda: answered.chat.conversation_id is None)
    press_button(answered.window.notices, "Undo")
    qtbot.waitUntil(lambda: "1 chat restored" in answered.window.notices.text)


def test_f2_renames_the_shown_chat_from_the_message_box(qtbot, answered):
    press(Qt.Key.Key_F2)
    type_text("Greetings")
    press(Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: answered.window.title.text() == "Greetings")
    assert not answered.window.composer.text()


@pytest.mark.qt_log_ignore("This plugin does not support")  # a menu takes the keyboard
def test_a_button_is_not_under_the_pointer_any_more_once_its_menu_has_closed(answered):
    window = answered.window
    for button in (window.menu_button, window.model_pill):
        button.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)
        QTimer.singleShot(0, button.menu().close)
        click(button)
        assert not button.underMouse()


@pytest.mark.qt_log_ignore("This plugin does not support")  # a menu takes the keyboard
def test_ctrl_m_offers_folders_for_the_shown_chat_from_the_message_box(answered):
    press(Qt.Key.Key_M, CONTROL)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert [each.text() for each in menu.actions() if each.text()] == ["New folder"]
    menu.close()


def test_a_notice_stands_in_the_corner_and_moves_nothing(qtbot, answered):
    window = answered.window
    before = window.chat.geometry()
    window.notices.show_notice(Notice("Something happened. " * 8, Level.ERROR))
    bar = window.notices
    qtbot.waitUntil(lambda: bar.geometry().bottom() < window.composer.geometry().top())
    assert window.chat.geometry() == before
    assert bar.geometry().right() > before.right() - 40
    assert bar.height() >= bar.rows[0].label.heightForWidth(bar.rows[0].label.width())


def test_information_goes_by_itself_and_an_error_stays(qtbot, ready, monkeypatch):
    monkeypatch.setattr(notice_bar, "INFO_SHOWN_MS", 1)
    bar = ready.window.notices
    bar.show_notice(Notice("It failed.", Level.ERROR))
    bar.show_notice(Notice("4 chats imported.", Level.INFO))
    qtbot.waitUntil(lambda: bar.text == "It failed.")


def test_an_answer_begins_right_below_its_question(answered):
    views = [answered.window.chat.view(each.id) for each in answered.window.chat.messages]
    question, answer = views
    assert isinstance(question, UserView)
    assert isinstance(answer, AnswerView)
    buttons = question._footer.geometry()
    assert not buttons.intersects(question.body.geometry())
    room = answer.y() - (question.y() + question._bubble.bottom())
    assert room < 2 * question.fontMetrics().height()


def test_buttons_are_beside_a_question_of_several_lines_in_a_narrow_window_too(qtbot, ready):
    ask_and_wait(qtbot, ready, "Which companies give support, and what did a survey show? " * 2)
    question = ready.window.chat.view(ready.window.chat.messages[0].id)
    assert isinstance(question, UserView)
    for width in (900, 480, 360):
        below = question.fit_width(width) - question._bubble.bottom()
        assert below < question.fontMetrics().height(), width


def fill_of(sidebar: Sidebar) -> QColor:
    """The colour behind the selected row, right of its text."""
    view = sidebar.list
    box: QRect = view.visualRect(view.selectionModel().selectedIndexes()[0])
    image: QImage = view.viewport().grab().toImage()
    at = QPoint(box.right() - 40, box.bottom() - 4) * image.devicePixelRatio()
    return image.pixelColor(at)


def test_a_selected_chat_has_one_colour_with_the_keyboard_and_without(qtbot, answered):
    sidebar = answered.window.sidebar
    without = fill_of(sidebar)
    sidebar.list.setFocus()
    qtbot.waitUntil(sidebar.list.hasFocus)
    assert fill_of(sidebar) == without == QColor(tokens().pressed)


def progress(done: int, total: int | None) -> DownloadProgress:
    return DownloadProgress("a.gguf", DownloadPhase.RECEIVING, done, total)


def test_a_download_that_failed_before_its_first_byte_has_no_bar_and_nothing_to_delete(qtbot):
    spec = DownloadSpec("https://example.com/a.gguf", "a.gguf", "0" * 64, 50_000_000)
    row = DownloadRow("a.gguf")
    qtbot.addWidget(row)
    for state, shown in ((DownloadState.RUNNING, True), (DownloadState.FAILED, False)):
        row.show_download(Download(spec, state, progress(0, None)))
        assert row.bar.isHidden() is not shown
        assert row.delete_button.isHidden() is not shown
        assert row.delete_button.text() == "Cancel"
    row.show_download(Download(spec, DownloadState.FAILED, progress(9, 50), 9))
    assert not row.delete_button.isHidden()
    assert row.delete_button.text() == "Delete…"


def test_escape_leaves_the_trash(qtbot: PatientQtBot, answered: Session) -> None:
    sidebar = answered.window.sidebar
    click(sidebar.trash_button)
    qtbot.waitUntil(lambda: "The trash is empty" in sidebar.nothing.text())
    answered.window.stop_action.setEnabled(True)  # as while the next turn is prepared
    press(Qt.Key.Key_Escape)
    assert not sidebar.trash_button.isChecked()
    assert sidebar.list.selected_ids() == [answered.chat.conversation_id]
