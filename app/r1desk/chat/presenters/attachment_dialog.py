"""The text of an attached file."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QLabel, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.editor import PlainEdit
from r1desk.store import Attachment
from r1desk.widgets.bounded_dialog import BoundedDialog

SHOWN_CHARACTERS = 60_000  # a longer text would hold the window up while it is laid out
_SUITED = QSize(760, 560)


class AttachmentDialog(BoundedDialog):
    """Shows the beginning of a file as plain text; Copy takes all of it."""

    def __init__(self, attachment: Attachment, parent: QWidget) -> None:
        super().__init__(parent, _SUITED)
        self.setWindowTitle(fit.code(attachment.name))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._content = attachment.content
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        self.field = PlainEdit(body)
        self.field.setReadOnly(True)
        self.field.setAccessibleName(tr("Text of the file"))
        self.field.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.field.setPlainText(fit.code(self._content[:SHOWN_CHARACTERS]))
        column.addWidget(self.field, 1)
        if len(self._content) > SHOWN_CHARACTERS:
            note = QLabel(
                tr(
                    "The first {shown} of {count} characters. The model reads all of them.",
                    shown=f"{SHOWN_CHARACTERS:,}",
                    count=f"{len(self._content):,}",
                ),
                body,
            )
            note.setWordWrap(True)
            column.addWidget(note)
        self.set_body(body)
        copy = QPushButton(tr("Copy"))
        copy.clicked.connect(self._on_copy)
        self.buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)

    @Slot()
    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(fit.clipped(self._content))
