"""Lists of documents, with their sizes, and why files could not be read."""

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial

from PySide6.QtCore import QObject, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QInputDialog,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import join_sentences, tr, trn
from deepseek_r1.core.units import format_mib
from deepseek_r1.documents.document_prompt import document_owners
from deepseek_r1.documents.errors import OCR_COMMAND, DocumentIsPicture
from deepseek_r1.documents.reader_protocol import PASSWORD_CHARACTERS
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.file_reader import FileReader, FileReading, LockedFile
from r1desk.chat.context.prompt_preparation import PromptPreparation
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text import display_text as fit
from r1desk.features import Presenter
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import Attachment, FolderInfo, Store
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.bounded_dialog import BoundedDialog, accepted
from r1desk.widgets.file_dialog import file_dialog
from r1desk.widgets.layouts import with_properties
from r1desk.widgets.notice_bar import Level, Notice
from r1desk.widgets.text_label import Action, push_button, text_label

_SUITED = QSize(620, 420)
_FAILED, _READING = "files of a folder", "a folder is read"  # topics of notices
_MOST_LISTED = 8  # reasons in one notice
_REFRESHED_MS = 400  # between two states of a list that grows


class UnreadFiles(QObject):
    """Says why files were refused, all in one notice, and asks for the passwords of locked PDFs."""

    def __init__(self, window: ChatWindow, files: FileReader, topic: str) -> None:
        """All of this `topic` of notices is one notice."""
        super().__init__(window)
        self._window, self._files, self._topic = window, files, topic
        self._reports: list[ErrorReport] = []
        self._waiting: deque[LockedFile] = deque()  # the first one's dialog is open
        self.tasks = Tasks(self)
        files.refused.connect(self._add)
        files.locked.connect(self._on_locked)

    @Slot(ErrorReport)
    def _add(self, report: ErrorReport) -> None:
        self._reports = [*(each for each in self._reports if each != report), report]
        self._window.notices.withdraw(self._topic)
        actions = {}
        if any(isinstance(each.error, DocumentIsPicture) for each in self._reports):
            copy = partial(QGuiApplication.clipboard().setText, OCR_COMMAND)
            actions = {tr("Copy the command"): copy}
        notice = Notice(self._text(), actions=actions, topic=self._topic)
        self._window.notices.show_notice(notice)

    @Slot()
    def clear(self) -> None:
        self._reports = []
        self._window.notices.withdraw(self._topic)

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

    @Slot(LockedFile)
    def _on_locked(self, locked: LockedFile) -> None:
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
                self._files.refused.emit(locked.report)
            self._waiting.popleft()


def _reason(report: ErrorReport) -> str:
    text, name = join_sentences(report.error.sentences()[:2]), str(report.facts.get("name", ""))
    return text if name in text else f"{name}: {text}"


class DocumentsDialog(BoundedDialog):
    """A list of documents, some of which can be selected."""

    def __init__(self, parent: QWidget, title: str, note: str) -> None:
        super().__init__(parent, title, _SUITED)
        column = self.fill_column(spacing=8)
        column.addWidget(text_label(note, "dim"))
        self.tree = with_properties(
            QTreeWidget(), rootIsDecorated=False, accessibleName=tr("Documents")
        )
        columns = [tr("Document"), tr("Pages"), tr("Tokens"), tr("Kept on disk")]
        self.tree.setHeaderLabels(columns)
        self.tree.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        column.addWidget(self.tree, 1)
        self.progress = text_label("", "dim")
        column.addWidget(self.progress)

    def show_documents(
        self, documents: Sequence[Attachment], cells_mib: Mapping[str, float]
    ) -> None:
        """Show these, each with its size; `cells_mib` on the disk are what models have read."""
        self.tree.clear()
        for each in documents:
            pages, tokens = each.pages and f"{each.pages:,}", each.tokens and f"≈ {each.tokens:,}"
            (owner,) = document_owners([each.sha256])
            cells = format_mib(cells_mib[owner]) if owner in cells_mib else ""
            texts = [fit.prose(each.name), pages or "", tokens or "", cells]
            item = QTreeWidgetItem(self.tree, texts)
            item.setData(0, Qt.ItemDataRole.UserRole, each.sha256)
            for number in (1, 2, 3):
                item.setTextAlignment(number, Qt.AlignmentFlag.AlignRight)


class DocumentLists(Presenter):
    """Shows the lists; files that were added are read on after a list was closed."""

    def __init__(
        self,
        window: ChatWindow,
        documents: ChatDocuments,
        store: StoreBridge,
        prompts: PromptPreparation,
    ) -> None:
        super().__init__(window)
        self._window, self._documents, self._store = window, documents, store
        self._prompts = prompts
        self._unread = UnreadFiles(window, documents.folder_files, _FAILED)
        self.tasks = Tasks(self, store.failed.emit)
        self._dialog: DocumentsDialog | None = None  # the list that was shown last
        self._noticed: list[FileReading] = []  # those that a notice is about
        self._folder: int | None = None  # of chats, whose documents it has; else all
        self._reading = QTimer(self, singleShot=True, interval=_REFRESHED_MS)
        self._reading.timeout.connect(self._on_changed)
        documents.folder_files.file_read.connect(self._on_read)
        documents.folder_files.changed.connect(self._on_changed)
        window.chats_menu.addAction(tr("Documents…"), lambda: self.show_documents(None))
        self._show_progress()

    def close(self) -> None:
        """Take the notice away, which the next window has in its own language."""
        self._window.notices.withdraw(_READING)
        super().close()

    def show_documents(self, folder: FolderInfo | None) -> None:
        """Show the documents of a folder of chats, to be changed; None: all, to be deleted."""
        if folder is None:
            size, title = self._documents.index.size_bytes / 2**20, tr("Documents")
            note = tr(
                "All documents take {size}. Deleting one removes it from every chat and folder.",
                size=format_mib(size),
            )
        else:
            title = tr("Documents in “{name}”", name=folder.name)
            note = tr("Every chat in this folder can use these documents.")
        key = folder.id if folder is not None else None
        dialog = DocumentsDialog(self._window, title, note)
        actions: dict[str, Action] = {}
        if key is not None:
            modes = QFileDialog.FileMode
            actions[tr("Add files…")] = partial(self._choose, key, dialog, modes.ExistingFiles)
            actions[tr("Add a folder…")] = partial(self._choose, key, dialog, modes.Directory)
        actions[tr("Delete") if key is None else tr("Remove")] = partial(self._remove, key, dialog)
        for label, action in actions.items():
            button = push_button(label, action)
            dialog.buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        dialog.tree.itemSelectionChanged.connect(lambda: button.setEnabled(True))
        button.setEnabled(False)
        dialog.finished.connect(self._on_closed)
        self._dialog, self._folder = dialog, key
        self._on_changed()
        dialog.show()

    @Slot()
    def _on_closed(self) -> None:
        if self.sender() is self._dialog:
            self._dialog = None

    @newest_task
    async def _refresh(self) -> None:
        folder = self._folder

        def read(store: Store) -> tuple[Attachment, ...]:
            every, of_folder = store.attachments.every, store.attachments.of_folder
            return every() if folder is None else of_folder(folder)

        documents = await self._store.ask(read)
        kept = self._prompts.state
        if self._dialog is not None:
            cells_mib = kept.documents_mib if kept is not None else {}
            self._dialog.show_documents(documents, cells_mib)

    @task
    async def _remove(self, folder: int | None, dialog: DocumentsDialog) -> None:
        selected = dialog.tree.selectedItems()
        hashes = [item.data(0, Qt.ItemDataRole.UserRole) for item in selected]

        def remove(store: Store) -> None:
            for each in hashes:
                store.attachments.drop_document(each, folder)

        await self._store.ask(remove)
        self._documents.clean(hashes)
        self._documents.refresh()
        self._refresh()

    def _choose(self, folder: int, dialog: DocumentsDialog, mode: QFileDialog.FileMode) -> None:
        chooser = file_dialog(dialog, tr("Add documents"), [tr("All files (*)")])
        chooser.setFileMode(mode)
        chooser.filesSelected.connect(self._unread.clear)
        chooser.filesSelected.connect(
            lambda paths: self._documents.folder_files.read(paths, folder)
        )
        chooser.open()

    def _show_progress(self) -> None:
        files = self._documents.folder_files
        total = sum(each.total for each in files.readings)
        at = min(total, total - sum(each.left for each in files.readings) + 1)
        text = trn("Reading {at:,} of {n:,} file.", "Reading {at:,} of {n:,} files.", total, at=at)
        actions: dict[str, Action] = {tr("Stop"): partial(files.end, *files.readings)}
        if not files.readings:
            text = ""
        elif not total:
            text = tr("Looking for documents…")
        if self._dialog is not None:
            self._dialog.progress.setText(text)
        if files.readings == self._noticed:  # its buttons stay in their places
            self._window.notices.change_text(_READING, text)
            return
        self._noticed = list(files.readings)
        self._window.notices.withdraw(_READING)
        if text:
            self._window.notices.show_notice(Notice(text, Level.WORK, actions, _READING))

    @Slot()
    def _on_read(self) -> None:
        if not self._reading.isActive():
            self._reading.start()

    @Slot()
    def _on_changed(self) -> None:
        self._show_progress()
        self._refresh()
