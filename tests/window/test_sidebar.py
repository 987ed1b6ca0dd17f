"""The list of conversations by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from r1desk.conversations.conversation_intents import OpenConversation
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.store import ConversationInfo

OLD, NEW = 1, 2


@pytest.fixture
def sidebar(qtbot: QtBot) -> Iterator[Sidebar]:
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    sidebar = Sidebar(window)
    layout.addWidget(sidebar)
    layout.addWidget(QLineEdit(window))  # what has the keyboard at first
    sidebar.show_conversations([a_conversation(NEW), a_conversation(OLD)])
    window.show()
    qtbot.waitActive(window)
    window.findChildren(QLineEdit)[-1].setFocus()
    yield sidebar
    window.close()


def a_conversation(number: int) -> ConversationInfo:
    return ConversationInfo(
        id=number, title=f"Talk {number}", created_at=0.0, updated_at=float(number)
    )


def test_walking_through_the_list_with_tab_opens_nothing(sidebar: Sidebar, qtbot: QtBot) -> None:
    sidebar.set_current(None)
    with qtbot.assertNotEmitted(sidebar.requested):
        sidebar.list.setFocus(Qt.FocusReason.TabFocusReason)
        assert sidebar.list.hasFocus()


def test_enter_opens_the_row_that_tab_came_to(sidebar: Sidebar, qtbot: QtBot) -> None:
    sidebar.set_current(None)
    sidebar.list.setFocus(Qt.FocusReason.TabFocusReason)
    with qtbot.waitSignal(sidebar.requested) as opened:
        qtbot.keyClick(sidebar.list, Qt.Key.Key_Return)
    assert opened.args == [OpenConversation(NEW)]


def test_the_arrows_open_conversations(sidebar: Sidebar, qtbot: QtBot) -> None:
    sidebar.set_current(NEW)
    sidebar.list.setFocus(Qt.FocusReason.TabFocusReason)
    with qtbot.waitSignal(sidebar.requested) as opened:
        qtbot.keyClick(sidebar.list, Qt.Key.Key_Down)
    assert opened.args == [OpenConversation(OLD)]
