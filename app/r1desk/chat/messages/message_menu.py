"""The menu of one message: copy, quote, edit, a new chat from here, delete."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from PySide6.QtCore import QPoint
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text
from r1desk.chat.text.message_selection import select_all, selected_text, text_boxes
from r1desk.chat.values.intents import BranchOff, DeleteMessage, Quote, Request
from r1desk.store import ChatMessage
from r1desk.theme.icons import icon


class MessageAction(StrEnum):
    """An entry of the menu of a message."""

    COPY_SELECTION = "copy_selection"
    COPY = "copy"
    SELECT_ALL = "select_all"
    QUOTE = "quote"
    EDIT = "edit"
    BRANCH = "branch"
    DELETE = "delete"


def show_message_menu(
    view: QWidget,
    message: ChatMessage,
    place: QPoint,
    *,
    request: Request,
    edit: Callable[[], None],
) -> None:
    """Open the menu of a message; what concerns its text alone is done here, the rest requested."""

    def chosen(action: MessageAction) -> None:
        clipboard = QGuiApplication.clipboard()
        match action:
            case MessageAction.COPY_SELECTION:
                clipboard.setText(display_text.clipped(selected_text(view)))
            case MessageAction.COPY:
                clipboard.setText(display_text.clipped(message.content))
            case MessageAction.SELECT_ALL:
                select_all(view)
                if boxes := text_boxes(view):
                    boxes[0].setFocus()  # for Ctrl+C
            case MessageAction.QUOTE:
                request(Quote(selected_text(view) or message.content))
            case MessageAction.EDIT:
                edit()
            case MessageAction.BRANCH:
                request(BranchOff(message.id))
            case MessageAction.DELETE:
                request(DeleteMessage(message.id))

    has_selection = bool(selected_text(view))
    menu = MessageMenu(message, has_selection=has_selection, chosen=chosen, parent=view)
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(place)


class MessageMenu(QMenu):
    """Made anew for each use; calls `chosen` with the action."""

    def __init__(
        self,
        message: ChatMessage,
        *,
        has_selection: bool,
        chosen: Callable[[MessageAction], None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._chosen = chosen
        if has_selection:
            self._add(MessageAction.COPY_SELECTION, tr("Copy the selection"), "copy", "Ctrl+C")
        self._add(MessageAction.COPY, tr("Copy the message"), "" if has_selection else "copy")
        self._add(MessageAction.SELECT_ALL, tr("Select all of the message"), "", "Ctrl+A")
        quote = tr("Quote the selection") if has_selection else tr("Quote the message")
        self._add(MessageAction.QUOTE, quote)
        self.addSeparator()
        edit = tr("Edit the answer…") if message.is_answer else tr("Edit and send again…")
        self._add(MessageAction.EDIT, edit, "pencil")
        self._add(MessageAction.BRANCH, tr("New chat from here"), "plus")
        self.addSeparator()
        several = message.sibling_count > 1
        delete = tr("Delete this version") if several else tr("Delete the message")
        self._add(MessageAction.DELETE, delete, "trash")

    def _add(self, action: MessageAction, text: str, name: str = "", keys: str = "") -> None:
        entry = self.addAction(text, lambda: self._chosen(action))
        if name:
            entry.setIcon(icon(name))
        if keys:  # shown only: the text that has the focus takes them
            entry.setText(f"{text}\t{QKeySequence(keys).toString()}")
        entry.setObjectName(action.value)
