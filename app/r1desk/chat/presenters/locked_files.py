"""Asks for the passwords of locked PDFs, which nothing keeps."""

from collections import deque

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtWidgets import QInputDialog, QLineEdit, QWidget

from deepseek_r1.core.i18n import join_sentences, tr
from deepseek_r1.documents.reader_protocol import PASSWORD_CHARACTERS
from r1desk.chat.context.file_reader import FileReader, LockedFile
from r1desk.platform.tasks import Tasks, task
from r1desk.widgets.bounded_dialog import accepted


class LockedFiles(QObject):
    """Shows a dialog for one file after the other; those without a password are refused."""

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
            dialog = QInputDialog(self._window)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.setWindowTitle(tr("Password"))
            dialog.setTextEchoMode(QLineEdit.EchoMode.Password)
            note = tr("The password is used once and not kept. The text that is read is kept.")
            reason = join_sentences(locked.report.error.sentences()[:2])
            dialog.setLabelText(f"{reason}\n{note}")
            if await accepted(dialog) and (password := dialog.textValue()):
                self._files.read([locked.path], locked.folder, password[:PASSWORD_CHARACTERS])
            else:
                self._files.refuse(locked.report)
            self._waiting.popleft()
