"""The main window, as the chat uses it."""

from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QMainWindow, QMenu

from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.view import ChatView
from r1desk.widgets.notice_bar import NoticeBar
from r1desk.widgets.palette import Palette


class ChatWindow(QMainWindow):
    """The main window, as the chat uses it."""

    chat: ChatView
    composer: Composer
    notices: NoticeBar
    title: QLabel
    stop_action: QAction
    chats_menu: QMenu
    answer_menu: QMenu
    prompts_menu: QMenu
    palette_list: Palette

    def hold_open(self, reason: str) -> None:
        """Ask with this reason before closing; an empty one lets the window close at once."""
