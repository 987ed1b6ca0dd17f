"""Files that could not be read: why, in one notice, and the passwords of locked PDFs."""

from collections import deque
from functools import partial

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QInputDialog, QLineEdit, QWidget

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import join_sentences, tr, trn
from deepseek_r1.documents.errors import OCR_COMMAND, DocumentIsPicture
from deepseek_r1.documents.reader_protocol import PASSWORD_CHARACTERS
from r1desk.chat.context.file_reader import FileReader, LockedFile
from r1desk.platform.tasks import Tasks, task
from r1desk.widgets.bounded_dialog import accepted
from r1desk.widgets.notice_bar import Notice, NoticeBar

_MOST_LISTED = 8


class RefusedFiles:
    """Shows why files were refused, a line for each."""

    def __init__(self, notices: NoticeBar, topic: str) -> None:
        """All of this `topic` of notices is one notice."""
        self._notices, self._topic = notices, topic
        self._reports: list[ErrorReport] = []

    def add(self, report: ErrorReport) -> None:
        """Show a refusal beside those before it."""
        self._reports = [*(each for each in self._reports if each != report), report]
        self._notices.withdraw(self._topic)
        actions = {}
        if any(isinstance(each.error, DocumentIsPicture) for each in self._reports):
            copy = partial(QGuiApplication.clipboard().setText, OCR_COMMAND)
            actions = {tr("Copy the command"): copy}
        notice = Notice(self._text(), actions=actions, topic=self._topic)
        self._notices.show_notice(notice)

    def clear(self) -> None:
        """Show none any more."""
        self._reports = []
        self._notices.withdraw(self._topic)

    def _text(self) -> str:
        count = len(self._reports)
        if count == 1:
            return self._reports[0].text()
        title = trn("{n:,} file was not attached:", "{n:,} files were not attached:", count)
        shown = self._reports[:_MOST_LISTED]
        lines = [f"• {_reason(each)}" for each in shown]
        if more := count - len(shown):
            lines.append(tr("… and {n:,} more", n=more))
        return "\n".join([title, *lines])


def _reason(report: ErrorReport) -> str:
    text, name = join_sentences(report.error.sentences()[:2]), str(report.facts.get("name", ""))
    return text if name in text else f"{name}: {text}"


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
