"""The main window, as the chat uses it."""

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QMainWindow, QMenu

from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.document_pane import DocumentPane
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
    document: DocumentPane

    def show_document(self) -> None:
        """Bring the document beside the chat to the front."""

    def close_document(self) -> None:
        """Take it away again; the keyboard goes back to the message box."""

    def open_setting(self, key: str) -> None:
        """Show a setting of the performance panel."""

    def hold_open(self, reason: str) -> None:
        """Ask with this reason before closing; an empty one lets the window close at once."""
