"""The files attached to the message being written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QSize, Signal, Slot
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.document import Source
from deepseek_r1.documents.errors import DocumentIsPicture
from deepseek_r1.documents.reading import SUFFIXES
from deepseek_r1.host.protocol import CountTokensReply, CountTokensRequest
from r1desk.chat.answers.attachment_reader import (
    MAX_FILES,
    TooManyAttachments,
    read_attachments,
)
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.editor import PlainEdit
from r1desk.chat.values.prompt import PromptSize, fenced, tokens_of
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.platform.background_thread import ask_in_background
from r1desk.store import Attachment
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.file_dialog import file_dialog
from r1desk.widgets.notice_bar import Notice

_FILES = "files of the message"  # a topic of notices
SHOWN_CHARACTERS = 60_000  # a longer text would hold the window up while it is laid out
_SUITED = QSize(760, 560)


class AttachmentDialog(BoundedDialog):
    """Shows the beginning of a file as plain text; Copy takes all of it."""

    def __init__(self, attachment: Attachment, parent: QWidget) -> None:
        super().__init__(parent, fit.code(attachment.name), _SUITED)
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
    """The files of the message being written: read, counted, shown, removed, sent.

    Signals:
        changed: other files, or other numbers of tokens.
    """

    changed = Signal()

    def __init__(self, window: ChatWindow, chat: ChatController, engine: EngineBridge) -> None:
        super().__init__(window)
        self._window, self._chat, self._engine = window, chat, engine
        self.attachments: tuple[Attachment, ...] = ()
        self._readings: dict[QObject, int] = {}  # numbers of files
        self._size: PromptSize | None = None  # what the composer's row says
        self._fits: list[bool] = []  # of each file
        self._can_count = False  # a model is loaded
        self._empty_tokens = 0  # of a message that says nothing: what the template adds
        window.chats_menu.addAction(tr("Attach files…"), "Ctrl+U", self.choose)
        chat.leaving.connect(self.show_stored)
        chat.branch_shown.connect(self._show)

    def close(self) -> None:
        """Drop what still waits for a thread or the engine: the window goes."""
        self.show_stored()
        super().close()

    @Slot()
    def choose(self) -> None:
        """Ask for files."""
        texts = tr(
            "Documents and code ({patterns})",
            patterns=" ".join(sorted(f"*{each}" for each in SUFFIXES)),
        )
        dialog = file_dialog(self._window, tr("Attach files"), [texts, tr("All files (*)")])
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(self.add_paths)
        dialog.open()

    @Slot(list)
    def add_paths(self, paths: Sequence[str]) -> None:
        """Read files and attach those that can be read."""
        left = max(0, MAX_FILES - len(self.attachments) - sum(self._readings.values()))
        if len(paths) > left:
            self._refuse(TooManyAttachments(limit=MAX_FILES).report())
        if taken := [Path(path) for path in paths[:left]]:
            reading = ask_in_background(partial(read_attachments, taken))
            self._readings[reading] = len(taken)
            reading.done.connect(self._on_read)
            self._show()
        self._window.composer.setFocus()

    @Slot(object)
    def _on_read(self, results: list[Attachment | ErrorReport]) -> None:
        if self._readings.pop(self.sender(), None) is None:
            return  # of a conversation that was left
        for refused in results:
            if isinstance(refused, ErrorReport):
                self._refuse(refused)
        read = tuple(each for each in results if isinstance(each, Attachment))
        self._set(self.attachments + read)
        self._count()

    def remove(self, place: int) -> None:
        """Take one file off the message."""
        self._set(self.attachments[:place] + self.attachments[place + 1 :])

    def take(self) -> tuple[Attachment, ...]:
        """The files, which go with the message that is being sent; none is attached then."""
        taken = self.attachments
        self.show_stored()
        return taken

    @Slot()
    def show_stored(self, attachments: tuple[Attachment, ...] = ()) -> None:
        """Show the files of another message. What is being read for this one is dropped."""
        self._readings.clear()
        self._window.notices.withdraw(_FILES)
        self.attachments = attachments
        self._show()
        self._count()

    def restore(self, attachments: tuple[Attachment, ...]) -> None:
        """Show the files of a draft, unless the user has begun to attach others."""
        if not self.attachments and not self._readings:
            self.show_stored(attachments)

    def restore_unsent(self, attachments: tuple[Attachment, ...]) -> None:
        """Attach files that could not be sent, before those that were attached since."""
        if attachments:
            self._set(attachments + self.attachments)
            self._count()

    def show_text(self, attachment: Attachment) -> None:
        """Show what is in a file."""
        AttachmentDialog(attachment, self._window).open()

    def show_source(self, source: Source) -> None:
        """Show a passage that an answer was given."""
        passage = source.passage
        self.show_text(Attachment(passage.name, passage.text))

    def _set(self, attachments: tuple[Attachment, ...]) -> None:
        """The user changed the files: keep them."""
        self.attachments = attachments
        self._show()
        self._chat.save_draft(attachments)

    @Slot()
    def _show(self) -> None:
        reading = bool(self._readings)
        self._fits = self._fitting()
        self._window.composer.set_attachments(self.attachments, self._fits, reading)
        self.changed.emit()

    def show_size(self, size: PromptSize | None) -> None:
        """The chips say of what fits the same as the composer's row."""
        self._size = size
        if self._fitting() != self._fits:
            self._show()

    def _fitting(self) -> list[bool]:
        """Whether each file fits beside the fitting ones before it; empty without a model."""
        if (size := self._size) is None:
            return []
        tokens = [tokens_of(attachment) for attachment in self.attachments]
        left = size.context - size.total + sum(tokens)
        fitting = []
        for count in tokens:
            fitting.append(count <= left)
            left -= count if fitting[-1] else 0
        return fitting

    def refuse_picture(self) -> None:
        """Say why a picture that was pasted or dropped is not attached."""
        self._refuse(DocumentIsPicture().report())

    def _refuse(self, report: ErrorReport) -> None:
        """Show why, until the message is sent or another conversation is shown."""
        self._window.notices.show_notice(Notice(report.text(), topic=_FILES))

    # ---- tokens

    def on_model_loaded(self) -> None:
        """Another model counts otherwise."""
        self._can_count = True
        self._ask_tokens("", self._on_empty_counted)
        self._count(again=True)

    def _count(self, *, again: bool = False) -> None:
        """Count the files that were not counted yet; they are estimated until there is a model."""
        for attachment in self.attachments:
            if self._can_count and (again or not attachment.tokens):
                self._ask_tokens(fenced(attachment), partial(self._on_counted, attachment))

    def _ask_tokens(self, text: str, counted: Callable[[CountTokensReply], None]) -> None:
        message = Message(role=Role.USER, content=text)
        request = self._engine.submit(CountTokensRequest, messages=(message,))
        request.done.connect(counted)
        request.failed.connect(self._on_not_counted)

    @Slot(object)
    def _on_empty_counted(self, reply: CountTokensReply) -> None:
        self._empty_tokens = reply.tokens  # comes before the files, which were asked for later

    def _on_counted(self, attachment: Attachment, reply: CountTokensReply) -> None:
        tokens, before = max(1, reply.tokens - self._empty_tokens), self.attachments
        counted = replace(attachment, tokens=tokens)
        attachments = tuple(counted if a is attachment else a for a in before)
        if attachments != before:
            self._set(attachments)

    @Slot(ErrorReport)
    def _on_not_counted(self, report: ErrorReport) -> None:
        """The estimate stays."""
        log.window.info("the tokens of a file were not counted: %s", report.text())
