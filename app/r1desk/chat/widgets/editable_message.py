"""The editor that opens in place of the text of a question or an answer."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from r1desk.chat.message import ChatMessage
from r1desk.chat.widgets.editor import MessageEditor
from r1desk.chat.widgets.text_style import TextStyle
from r1desk.chat.widgets.time_slicer import Slicer


class EditableMessage(QWidget):
    """The base of the widgets of messages.

    Signals:
        grown: the height may have changed.
        edited: the text that is to take the message's place.
        editing_ended: the editor was closed, with another text or without.
        sibling_chosen: -1 for the version before, 1 for the next.
        action_chosen: a `MessageAction` of the message's menu.
    """

    grown = Signal()
    edited = Signal(str)
    editing_ended = Signal()
    sibling_chosen = Signal(int)
    action_chosen = Signal(str)

    _saves = False  # True: the editor saves a version; False: it sends the message again

    def __init__(
        self, message: ChatMessage, style: TextStyle, slicer: Slicer, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._message, self._style, self._slicer = message, style, slicer
        self._editor: MessageEditor | None = None

    @property
    def editor(self) -> MessageEditor | None:
        """The open editor."""
        return self._editor

    @Slot()
    def edit(self) -> None:
        """Open the editor in place of the text."""
        if self._editor is None:
            self._editor = MessageEditor(self._message.content, self, saves=self._saves)
            self._editor.sent.connect(self._on_edited)
            self._editor.left.connect(self._on_left)
            self._set_text_visible(False)
            self._editor.show()
            self.grown.emit()
        self._editor.setFocus()

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        self._on_left()
        self.edited.emit(text)

    @Slot()
    def _on_left(self) -> None:
        if self._editor:
            self._editor.hide()
            self._editor.deleteLater()
            self._editor = None
            self._set_text_visible(True)
            self.grown.emit()
            self.editing_ended.emit()

    def _set_text_visible(self, visible: bool) -> None:
        """Show or hide what the editor takes the place of."""
        raise NotImplementedError
