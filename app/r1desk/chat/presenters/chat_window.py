"""The main window, as the chat uses it, and the keys that no widget of it wants."""

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenu,
    QTextEdit,
    QWidget,
)

from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.chat.messages.view import ChatView
from r1desk.widgets.notice_bar import NoticeBar
from r1desk.widgets.palette import Palette

_KEEPS_KEYS = (QLineEdit, QAbstractSpinBox)  # also when they refuse a letter


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


class KeyForwarder(QObject):
    """Watches a window. Qt hands it each key that the widget with the focus left alone."""

    def __init__(self, window: QWidget, target: QWidget) -> None:
        super().__init__(window)
        self._target = target
        window.installEventFilter(self)

    def eventFilter(self, _window: QObject, event: QEvent) -> bool:
        """Move the focus to the target with the first letter."""
        if (
            not isinstance(event, QKeyEvent)
            or event.type() != QEvent.Type.KeyPress
            or not is_typed_text(event)
            or isinstance(QApplication.focusWidget(), _KEEPS_KEYS)
            or not (self._target.isEnabled() and self._target.isVisible())
        ):
            return False
        self._target.setFocus(Qt.FocusReason.OtherFocusReason)
        QCoreApplication.sendEvent(self._target, event)
        return True

    def take_idle_focus(self) -> None:
        """Focus the target where the focus is on nothing that a user works in."""
        focused = QApplication.focusWidget()
        idle = focused is None or isinstance(focused, QAbstractButton | QTextEdit)
        if idle and QApplication.activeModalWidget() is None:
            self._target.setFocus(Qt.FocusReason.OtherFocusReason)


def is_typed_text(event: QKeyEvent) -> bool:
    """True for a key that writes a visible character, not for a shortcut, Space or Enter."""
    modifiers = event.modifiers() & ~(
        Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier
    )
    altgr = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
    if modifiers not in (Qt.KeyboardModifier.NoModifier, altgr):
        return False
    return bool(event.text().strip()) and event.text().isprintable()
