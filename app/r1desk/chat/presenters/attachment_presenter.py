"""The files of the message being written and of the chat: chosen, shown, removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFileDialog

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.documents.reading import SUFFIXES
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.document_prefill import DocumentPrefill
from r1desk.chat.context.measured_speed import MeasuredSpeed
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text.attachment_chip import Chip, ChipButton, short_name, size_notes
from r1desk.chat.values.duration import price_text
from r1desk.chat.values.intents import OpenAttachment
from r1desk.chat.values.prompt import PromptSize, tokens_of
from r1desk.features import Presenter
from r1desk.platform.tasks import Tasks, newest_task, report_of
from r1desk.store import Attachment
from r1desk.widgets.file_dialog import file_dialog
from r1desk.widgets.notice_bar import Notice

_FILES = "files of the message"  # a topic of notices
_MOST_SHARED = 3  # documents of a folder, that have a chip each


class AttachmentPresenter(Presenter):
    """Shows files as chips, and shows what is in them."""

    def __init__(
        self,
        window: ChatWindow,
        chat: ChatController,
        documents: ChatDocuments,
        prefill: DocumentPrefill,
        speed: MeasuredSpeed,
    ) -> None:
        super().__init__(window)
        self._window, self._chat, self._documents, self._speed = window, chat, documents, speed
        self._prefill = prefill
        self._whole: bool | None = None  # whether all documents fit together; None: no model
        self._read: Sequence[str] = ()  # documents that the model has read
        self.tasks = Tasks(self, lambda error: self.refuse(report_of(error)))
        window.chats_menu.addAction(tr("Attach files…"), "Ctrl+U", self.choose)
        window.chats_menu.addAction(tr("Attach a folder…"), self.choose_folder)
        chat.leaving.connect(self.clear)
        documents.files.refused.connect(self.refuse)
        for ours in (documents.changed, documents.draft_changed, documents.files.changed):
            ours.connect(self._show)
        for others in (chat.branch_shown, chat.busy_changed, prefill.changed, speed.changed):
            others.connect(self._show)

    @Slot()
    def choose(self) -> None:
        """Ask for files."""
        every = " ".join(f"*{suffix}" for suffix in sorted(SUFFIXES))
        filters = [tr("Documents, text and code ({patterns})", patterns=every), tr("All files (*)")]
        self._choose(tr("Attach files"), QFileDialog.FileMode.ExistingFiles, filters)

    @Slot()
    def choose_folder(self) -> None:
        """Ask for a folder, whose files are attached."""
        self._choose(tr("Attach a folder"), QFileDialog.FileMode.Directory, [])

    def _choose(self, title: str, mode: QFileDialog.FileMode, filters: list[str]) -> None:
        dialog = file_dialog(self._window, title, filters)
        dialog.setFileMode(mode)
        dialog.filesSelected.connect(self.add_paths)
        dialog.open()

    @Slot(list)
    def add_paths(self, paths: Sequence[str]) -> None:
        """Read files, and those of folders, and attach what has text."""
        self._documents.files.read(paths)
        self._window.composer.setFocus()

    @newest_task
    async def add_text(self, text: str) -> None:
        """Attach a text of the message as a document, and take it out of the message."""
        name = tr("Pasted text, {count} characters", count=f"{len(text):,}")
        file = await self._documents.files.read_text(f"{name}.txt", text)
        if isinstance(file, ErrorReport):
            self.refuse(file)
            return
        self._documents.change_draft((*self._documents.draft, file))
        self._window.composer.remove_attached(text)

    @Slot()
    def clear(self) -> None:
        """The message goes, or another one is shown: so does what was said of its files."""
        self.tasks.end(self.add_text)
        self._documents.leave_draft()
        self._window.notices.withdraw(_FILES)

    def _remove(self, place: int) -> None:
        """Take one file off the message."""
        draft = self._documents.draft
        self._prefill.pause()
        self._documents.change_draft(draft[:place] + draft[place + 1 :])

    @Slot()
    def _show(self) -> None:
        documents = self._documents
        self._read = self._prefill.read_of(self._in_order())
        mine, inside = {each.sha256 for each in documents.draft}, documents.of_folder
        earlier = [each for each in documents.shown if each.sha256 not in mine]
        shared = [each for each in earlier if each.sha256 in inside]
        chips = [
            self._chip(each, partial(documents.remove, each.sha256))
            for each in earlier
            if each.sha256 not in inside
        ]
        as_one = [self._chip_of_folder(shared)] if len(shared) > _MOST_SHARED else []
        chips += as_one or [self._chip(each, None) for each in shared]
        chips += [
            self._chip(each, partial(self._remove, at)) for at, each in enumerate(documents.draft)
        ]
        for each in documents.files.readings:
            button = ChipButton("close", _removal(each.name), partial(documents.files.end, each))
            chips.append(Chip(each.name, (tr("Reading…"),), None, (button,), icon="clock"))
        attached, reading = bool(documents.draft), bool(documents.files.readings)
        self._window.composer.set_chips(chips, attached=attached, reading=reading)

    def _chip_of_folder(self, documents: Sequence[Attachment]) -> Chip:
        tokens, count = sum(map(tokens_of, documents)), len(documents)
        name = trn("{n:,} document of the folder", "{n:,} documents of the folder", count)
        notes = [trn("about {n:,} token", "about {n:,} tokens", tokens)]
        if self._whole is False:
            notes.append(tr("searched"))
        elif self._whole and {each.sha256 for each in documents} <= set(self._read):
            notes.append(tr("Read"))
        return Chip(name, tuple(notes))

    def _chip(self, attachment: Attachment, removes: Callable[[], object] | None) -> Chip:
        """A file, and what becomes of it with the next question. All are read ahead as one."""
        name, prefill = short_name(attachment.name), self._prefill
        notes, buttons, fraction = list(size_notes(attachment)), list[ChipButton](), None
        if not attachment.sha256 or self._whole is None:
            pass
        elif not self._whole:
            notes.append(tr("searched"))
        elif attachment.sha256 in self._read:
            notes.append(tr("Read"))
        else:
            if attachment.sha256 in prefill.begun_of(self._in_order()):
                fraction = prefill.fraction
                notes.append(tr("{share} read", share=f"{fraction:.0%}"))
            left = round((1 - (fraction or 0)) * tokens_of(attachment))
            if (seconds := self._speed.reading_s(left)) is not None:
                notes.append(tr("about {duration} to read", duration=price_text(seconds)))
            if prefill.is_running:
                label = tr("Pause reading {name}", name=name)
                buttons.append(ChipButton("pause", label, prefill.pause))
            elif not self._chat.busy:
                label = tr("Read {name} now", name=name)
                start = partial(prefill.start, self._in_order())
                buttons.append(ChipButton("brain", label, start))
        if removes is not None:
            buttons.append(ChipButton("close", _removal(name), removes))
        else:
            notes.append(tr("of the folder"))
        opens = partial(self._window.composer.requested.emit, OpenAttachment(attachment))
        return Chip(attachment.name, tuple(notes), opens, tuple(buttons), fraction)

    def _in_order(self) -> tuple[str, ...]:
        return tuple(self._documents.of_question(self._documents.draft))

    def show_size(self, size: PromptSize | None) -> None:
        """The chips say of what fits the same as the composer's row."""
        before, self._whole = self._whole, size.whole if size is not None else None
        if self._whole != before:
            self._show()

    @Slot(ErrorReport)
    def refuse(self, report: ErrorReport) -> None:
        """Show why, until the message is sent or another conversation is shown."""
        self._window.notices.show_notice(Notice(report.text(), topic=_FILES))


def _removal(name: str) -> str:
    return tr("Remove {name}", name=name)
