"""A change of colours or language leaves the sizes of the open chat as they are."""

from PySide6.QtWidgets import QToolButton

from r1desk.chat.messages.view import ChatView
from r1desk.platform.qt_application import application
from r1desk.shell.session import Session
from r1desk.theme.theme import find_theme
from support.patience import PatientQtBot
from window.session_fixture import ask_and_wait

THEMES = ("dark", "high_contrast", "light")


def heights(chat: ChatView) -> list[int]:
    return [each.height() for each in chat.column.findChildren(QToolButton) if each.isVisible()]


def as_opened_again(chat: ChatView) -> list[int]:
    chat.column.rebuild()
    return heights(chat)


def test_other_colours_leave_the_open_chat_as_it_is_when_it_is_opened_again(qtbot, ready):
    ask_and_wait(qtbot, ready, "Hello")
    for theme in THEMES:
        with qtbot.waitSignal(find_theme(application()).changed):
            ready.appearance.set_theme(theme)
        changed = heights(ready.window.chat)
        assert changed == as_opened_again(ready.window.chat)


def test_another_language_leaves_it_as_it_is_too(qtbot: PatientQtBot, ready: Session) -> None:
    ask_and_wait(qtbot, ready, "Hello")
    before = ready.window
    with qtbot.waitSignal(find_theme(application()).changed):
        ready.set_language("zh_CN")
    assert ready.window is not before
    changed = heights(ready.window.chat)
    assert changed
    assert changed == as_opened_again(ready.window.chat)
