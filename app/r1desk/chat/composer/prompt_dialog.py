"""The dialog that edits one prompt of the library."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QLineEdit, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text.editor import PlainEdit
from r1desk.store.prompt_store import CONTENT_CHARACTERS, NAME_CHARACTERS, SavedPrompt
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.text_label import text_label


class PromptDialog(BoundedDialog):
    """Asks for a prompt's name and text; `deleted` is there for one that is kept already."""

    saved = Signal(object)  # SavedPrompt
    deleted = Signal()

    def __init__(self, parent: QWidget, name: str, content: str, *, is_kept: bool) -> None:
        super().__init__(parent, tr("Prompt"), QSize(560, 420))
        self.name = QLineEdit(name, maxLength=NAME_CHARACTERS)
        self.content = PlainEdit()
        self.content.setTabChangesFocus(True)
        self.content.setPlainText(content)
        note = tr("{example} is a field, which you fill in when you use it.", example="{{topic}}")
        column = self.fill_column(spacing=8)
        for title, field in ((tr("Name"), self.name), (tr("Text"), self.content)):
            field.setAccessibleName(title)
            column.addWidget(text_label(title))
            column.addWidget(field)
            field.textChanged.connect(self._on_changed)
        column.addWidget(text_label(note, "dim"))
        choices = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(choices.Save | choices.Cancel)
        if is_kept:
            delete = self.buttons.addButton(
                tr("Delete"), QDialogButtonBox.ButtonRole.DestructiveRole
            )
            delete.clicked.connect(self.deleted)
            delete.clicked.connect(self.reject)
        self.buttons.accepted.connect(self._on_saved)
        self._on_changed()
        self.name.setFocus()
        self.name.selectAll()

    @Slot()
    def _on_changed(self) -> None:
        content = self.content.toPlainText()
        fits = bool(content.strip()) and len(content) <= CONTENT_CHARACTERS
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(fits and bool(self.name.text().strip()))

    @Slot()
    def _on_saved(self) -> None:
        name, content = self.name.text().strip(), self.content.toPlainText()
        self.saved.emit(SavedPrompt(name=name, content=content))
        self.accept()
