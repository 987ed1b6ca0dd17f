"""The base of the widgets of messages: the menu, and the editor in place of the text."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Signal, Slot
from PySide6.QtWidgets import QWidget

from r1desk.chat.messages.footer import Footer
from r1desk.chat.messages.message_menu import show_message_menu
from r1desk.chat.text.editor import MessageEditor
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import Slicer
from r1desk.chat.values.intents import EditAnswer, EditQuestion, Request, ReturnToComposer
from r1desk.store import ChatMessage


class EditableMessage(QWidget):
    """A message with a footer.

    Signals:
        grown: the height may have changed.
    """

    grown = Signal()

    def __init__(
        self,
        message: ChatMessage,
        style: TextStyle,
        slicer: Slicer,
        request: Request,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._message, self._style, self._slicer = message, style, slicer
        self._request = request
        self._editor: MessageEditor | None = None
        self._footer: Footer | None = None

    def _add_footer(self) -> Footer:
        footer = self._footer = Footer(self._message, self._style, self._request, self)
        footer.menu_button.clicked.connect(self._on_menu)
        if footer.edit_button is not None:
            footer.edit_button.clicked.connect(self.edit)
        return footer

    # ---- menu

    @Slot()
    def _on_menu(self) -> None:
        footer = self._footer or self
        self.open_menu(footer.mapToGlobal(footer.rect().topLeft()))

    def open_menu(self, place: QPoint) -> None:
        """Open the message's menu at a place of the screen; not while it is being written."""
        if self._footer is not None:
            show_message_menu(self, self._message, place, request=self._request, edit=self.edit)

    # ---- editor

    @property
    def editor(self) -> MessageEditor | None:
        """The open editor."""
        return self._editor

    @Slot()
    def edit(self) -> None:
        """Open the editor in place of the text."""
        if self._editor is None:
            message = self._message
            self._editor = MessageEditor(message.content, self, saves=message.is_answer)
            self._editor.sent.connect(self._on_edited)
            self._editor.left.connect(self._on_left)
            self._set_text_visible(False)
            self._editor.show()
            self.grown.emit()
        self._editor.setFocus()

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        self._on_left()
        edit = EditAnswer if self._message.is_answer else EditQuestion
        self._request(edit(self._message.id, text))

    @Slot()
    def _on_left(self) -> None:
        if self._editor:
            self._editor.hide()
            self._editor.deleteLater()
            self._editor = None
            self._set_text_visible(True)
            self.grown.emit()
            self._request(ReturnToComposer())

    def _set_text_visible(self, visible: bool) -> None:
        """Show or hide what the editor takes the place of."""
        raise NotImplementedError
