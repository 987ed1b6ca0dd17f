"""Asks for the passwords of locked PDFs, which nothing keeps."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QObject, QSize, Slot
from PySide6.QtWidgets import QDialogButtonBox, QLineEdit, QWidget

from deepseek_r1.core.i18n import join_sentences, tr
from deepseek_r1.documents.reader_protocol import PASSWORD_CHARACTERS
from r1desk.chat.context.file_reader import FileReader, LockedFile
from r1desk.platform.tasks import Tasks, task
from r1desk.widgets.bounded_dialog import BoundedDialog, accepted
from r1desk.widgets.text_label import text_label

_SUITED = QSize(420, 180)


class PasswordDialog(BoundedDialog):
    """Asks for the password of one PDF."""

    def __init__(self, parent: QWidget, locked: LockedFile) -> None:
        super().__init__(parent, tr("Password"), _SUITED)
        self.password = QLineEdit(
            echoMode=QLineEdit.EchoMode.Password, maxLength=PASSWORD_CHARACTERS
        )
        self.password.setAccessibleName(tr("Password"))
        column = self.fill_column(spacing=8)
        column.addWidget(text_label(join_sentences(locked.report.error.sentences()[:2]), "dim"))
        column.addWidget(self.password)
        note = tr("The password is used once and not kept. The text that is read is kept.")
        column.addWidget(text_label(note, "dim"))
        column.addStretch()
        choices = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(choices.Open | choices.Cancel)
        self.buttons.accepted.connect(self.accept)
        self._open = self.buttons.button(choices.Open)
        self._open.setDefault(True)
        self._open.setEnabled(False)
        self.password.textChanged.connect(lambda text: self._open.setEnabled(bool(text)))
        self.password.setFocus()


class LockedFiles(QObject):
    """Shows the dialog for one file after the other; those without a password are refused."""

    def __init__(self, window: QWidget, files: FileReader) -> None:
        super().__init__(window)
        self._window, self._files = window, files
        self._waiting: deque[LockedFile] = deque()  # the first one's dialog is open
        self.tasks = Tasks(self)
        files.locked.connect(self._add)

    @Slot(LockedFile)
    def _add(self, locked: LockedFile) -> None:
        self._waiting.append(locked)
        if len(self._waiting) == 1:
            self._ask()

    @task
    async def _ask(self) -> None:
        while self._waiting:
            locked = self._waiting[0]
            dialog = PasswordDialog(self._window, locked)
            if await accepted(dialog):
                self._files.read([locked.path], locked.folder, dialog.password.text())
            else:
                self._files.refused.emit(locked.report)
            self._waiting.popleft()
