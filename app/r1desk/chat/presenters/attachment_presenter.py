"""Connects the attached files with the composer, the conversation and the dialogs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, QStandardPaths, Qt, Slot
from PySide6.QtGui import QAction, QFontDatabase, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.attachment_controller import AttachmentController
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.composer.composer import Composer
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.editor import PlainEdit
from r1desk.chat.values.prompt import conversation_tokens, tokens_of
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.store import Attachment
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar

TEXT_PATTERNS = (
    "*.txt *.md *.markdown *.rst *.tex *.log *.csv *.tsv *.json *.jsonl *.yaml *.yml *.toml *.ini "
    "*.cfg *.xml *.html *.css *.py *.js *.ts *.jsx *.tsx *.c *.h *.cpp *.hpp *.cc *.cs *.java *.kt "
    "*.go *.rs *.rb *.php *.swift *.sh *.bat *.ps1 *.sql *.r *.m *.lua"
)

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


class AttachmentPresenter(Presenter):
    """Lets the user attach, look at and remove files; reports those that are refused."""

    def __init__(
        self,
        window: QWidget,
        composer: Composer,
        notices: NoticeBar,
        chat: ChatController,
        engine: EngineBridge,
    ) -> None:
        super().__init__(window)
        self._window, self._composer, self._notices, self._chat = window, composer, notices, chat
        self.controller = AttachmentController(engine, self)
        self.controller.shown.connect(self._on_shown)
        self.controller.changed.connect(self._on_changed)
        self.controller.refused.connect(self._on_refused)
        self._action = QAction(tr("Attach files…"), window)
        self._action.setShortcut(QKeySequence("Ctrl+U"))
        self._action.triggered.connect(self.choose)
        window.addAction(self._action)
        chat.leaving.connect(self._on_leaving)
        chat.attachments_restored.connect(self._on_restored)
        chat.branch_shown.connect(self._on_shown)

    def close(self) -> None:
        """Drop what still waits for a thread or the engine: the window goes."""
        self.controller.show_stored(())
        super().close()

    @Slot()
    def choose(self) -> None:
        """Ask for files."""
        documents = QStandardPaths.StandardLocation.DocumentsLocation
        dialog = QFileDialog(
            self._window, tr("Attach files"), QStandardPaths.writableLocation(documents)
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilters(
            [tr("Text, code and tables ({patterns})", patterns=TEXT_PATTERNS), tr("All files (*)")]
        )
        dialog.filesSelected.connect(self.add_paths)
        dialog.open()

    @Slot(list)
    def add_paths(self, paths: Sequence[str]) -> None:
        """Attach these files to the message being written."""
        self.controller.add_files([Path(path) for path in paths])
        self._composer.setFocus()

    def take(self) -> tuple[Attachment, ...]:
        """The files of the message that is being sent."""
        return self.controller.take()

    @Slot(object)
    def show_text(self, attachment: Attachment) -> None:
        """Show what is in a file."""
        AttachmentDialog(attachment, self._window).open()

    @Slot()
    def _on_shown(self) -> None:
        attachments = self.controller.attachments
        self._composer.set_attachments(attachments, self._fitting(), self.controller.reading)

    def _fitting(self) -> list[bool]:
        """Whether each file fits beside the fitting ones before it; empty without a model."""
        if not self.controller.context_length:
            return []
        left = self.controller.context_length - conversation_tokens(self._chat.shown_branch)
        fitting = []
        for attachment in self.controller.attachments:
            fits = tokens_of(attachment) < left
            left -= tokens_of(attachment) if fits else 0
            fitting.append(fits)
        return fitting

    @Slot()
    def _on_changed(self) -> None:
        self._chat.save_draft_attachments(self.controller.attachments)

    @Slot(ErrorReport)
    def _on_refused(self, report: ErrorReport) -> None:
        self._notices.show_notice(Notice(report.text(), Level.ERROR))

    @Slot()
    def _on_leaving(self) -> None:
        self.controller.show_stored(())

    @Slot(tuple)
    def _on_restored(self, attachments: tuple[Attachment, ...]) -> None:
        if not self.controller.attachments and not self.controller.reading:
            self.controller.show_stored(attachments)
