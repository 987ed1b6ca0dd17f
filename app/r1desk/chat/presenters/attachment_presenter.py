"""The files of the message being written and of the chat: read, shown, removed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QFileDialog
from shiboken6 import isValid

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.documents.document import Passage
from deepseek_r1.documents.reading import SUFFIXES
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.document_reading import DocumentReading
from r1desk.chat.context.file_reader import FileRead, ReadingProgress
from r1desk.chat.context.measured_speed import MeasuredSpeed
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.document_dialog import DocumentDialog, passages_of
from r1desk.chat.text.attachment_chip import Chip, ChipButton, short_name, size_notes
from r1desk.chat.values import intents
from r1desk.chat.values.duration import price_text
from r1desk.chat.values.prompt import PromptSize, tokens_of
from r1desk.features import Presenter
from r1desk.store import Attachment
from r1desk.widgets.file_dialog import file_dialog
from r1desk.widgets.notice_bar import Notice

_FILES = "files of the message"  # a topic of notices
_PROGRESS_MS = 50
_MOST_SHARED = 3  # documents of a folder, that have a chip each


@dataclass
class _Reading:
    """Files that are read for this message, by path, with the progress of each."""

    stop: threading.Event = field(default_factory=threading.Event)
    files: dict[str, ReadingProgress] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)  # taken off before they were read
    listed: bool = False  # `files` are files: folders among the paths were walked


class AttachmentPresenter(Presenter):
    """Shows files as chips, reads new ones, and shows what is in them.

    Signals:
        changed: other files, or other numbers of tokens.
    """

    changed = Signal()

    def __init__(
        self,
        window: ChatWindow,
        chat: ChatController,
        documents: ChatDocuments,
        reading: DocumentReading,
        speed: MeasuredSpeed,
    ) -> None:
        super().__init__(window)
        self._window, self._chat, self._documents, self._speed = window, chat, documents, speed
        self._model_reading = reading
        self.attachments: tuple[Attachment, ...] = ()
        self._readings: dict[QObject, _Reading] = {}
        self._whole: bool | None = None  # whether all documents fit together; None: no model
        self._read: Sequence[str] = ()  # documents that the model has read
        self._dialog: DocumentDialog | None = None
        self._show_timer = QTimer(self, singleShot=True, interval=_PROGRESS_MS)
        self._show_timer.timeout.connect(self._show)
        window.chats_menu.addAction(tr("Attach files…"), "Ctrl+U", self.choose)
        window.chats_menu.addAction(tr("Attach a folder…"), self.choose_folder)
        chat.leaving.connect(self.show_stored)
        whenever = (chat.branch_shown, chat.busy_changed, reading.changed, documents.changed)
        for changed in (*whenever, speed.changed):
            changed.connect(self._show)

    def close(self) -> None:
        """Drop what still waits for a thread: the window goes."""
        self.show_stored()
        self._show_timer.stop()
        super().close()

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
        reading = _Reading()
        answer = self._documents.files.read(paths, reading.stop)
        reading.files = {path: ReadingProgress(path, 0, None) for path in paths}
        self._readings[answer] = reading
        answer.done.connect(self._on_read)
        answer.failed.connect(self.refuse)
        answer.ended.connect(self._on_all_read)
        self._show()
        self._window.composer.setFocus()

    @Slot(object)
    def _on_read(self, result: ReadingProgress | FileRead) -> None:
        reading = self._readings.get(self.sender())
        if reading is None or reading.stop.is_set():
            return  # of a conversation that was left
        if not reading.listed:  # a folder has become its files
            reading.listed, reading.files = True, {}
        if isinstance(result, ReadingProgress):
            if result.path not in reading.dropped:
                reading.files[result.path] = result
        else:
            reading.files.pop(result.path, None)
            there = {each.sha256 for each in self.attachments}
            if isinstance(result.result, ErrorReport):
                self.refuse(result.result)
            elif result.path not in reading.dropped and result.result.sha256 not in there:
                self._set((*self.attachments, result.result))
        if not self._show_timer.isActive():  # many files are named at once
            self._show_timer.start()

    @Slot()
    def _on_all_read(self) -> None:
        self._readings.pop(self.sender(), None)
        self._show()

    def stop_reading(self, path: str) -> None:
        """Attach a file no longer that is being read."""
        for reading in self._readings.values():
            reading.dropped.add(path)
            if reading.files.pop(path, None) is not None and not reading.files:
                reading.stop.set()
        self._show()

    def remove(self, place: int) -> None:
        """Take one file off the message."""
        self._set(self.attachments[:place] + self.attachments[place + 1 :])

    @Slot()
    def show_stored(self, attachments: tuple[Attachment, ...] = ()) -> None:
        """Show the files of another message. What is being read for this one is dropped."""
        for reading in self._readings.values():
            reading.stop.set()
        self._readings.clear()
        self._window.notices.withdraw(_FILES)
        self.attachments = attachments
        self._show()

    def restore(self, attachments: tuple[Attachment, ...]) -> None:
        """Show the files of a draft, unless the user has begun to attach others."""
        if not self.attachments and not self._readings:
            self.show_stored(attachments)

    def restore_unsent(self, attachments: tuple[Attachment, ...]) -> None:
        """Attach files that could not be sent, before those that were attached since."""
        if attachments:
            self._set(attachments + self.attachments)

    def _set(self, attachments: tuple[Attachment, ...]) -> None:
        """The user changed the files: keep them."""
        removed = {a.sha256 for a in self.attachments} - {a.sha256 for a in attachments}
        self.attachments = attachments
        self._show()
        self._chat.save_draft(attachments)
        if removed:
            self._model_reading.pause()
        self._documents.delete_unused(tuple(removed))

    @Slot()
    def _show(self) -> None:
        self._read = self._model_reading.read_of(self._in_order())
        mine, inside = {each.sha256 for each in self.attachments}, self._documents.of_folder
        earlier = [each for each in self._documents.shown if each.sha256 not in mine]
        shared = [each for each in earlier if each.sha256 in inside]
        chips = [
            self._chip(d, intents.RemoveDocument(d.sha256)) for d in earlier if d not in shared
        ]
        if len(shared) > _MOST_SHARED:
            chips.append(self._chip_of_folder(shared))
        else:
            chips += [self._chip(each, None) for each in shared]
        chips += [
            self._chip(d, intents.RemoveAttachment(at)) for at, d in enumerate(self.attachments)
        ]
        files = [each for found in self._readings.values() for each in found.files.values()]
        chips += map(_chip_being_read, files)
        self._window.composer.set_chips(chips, attached=bool(self.attachments), reading=bool(files))
        self.changed.emit()

    def _chip_of_folder(self, documents: Sequence[Attachment]) -> Chip:
        tokens, count = sum(map(tokens_of, documents)), len(documents)
        name = trn("{n:,} document of the folder", "{n:,} documents of the folder", count)
        notes = (trn("about {n:,} token", "about {n:,} tokens", tokens),)
        return Chip(name, notes if self._whole else (*notes, tr("is searched")))

    def _chip(self, attachment: Attachment, removes: intents.Intent | None) -> Chip:
        """A file, and what becomes of it with the next question. All are read ahead as one."""
        name, sha256, reading = short_name(attachment.name), attachment.sha256, self._model_reading
        notes, buttons, fraction = list(size_notes(attachment)), list[ChipButton](), None
        if sha256 and self._whole is False:
            notes.append(tr("is searched"))
        elif sha256 and self._whole and sha256 in self._read:
            notes.append(tr("read already"))
        elif sha256 and self._whole:
            if sha256 in reading.begun_of(self._in_order()):
                fraction = reading.fraction
                notes.append(tr("{share} read", share=f"{fraction:.0%}"))
            left = round((1 - (fraction or 0)) * tokens_of(attachment))
            if (seconds := self._speed.reading_s(left)) is not None:
                notes.append(tr("about {duration} to read", duration=price_text(seconds)))
            if reading.is_running:
                label = tr("Pause the reading of {name}", name=name)
                buttons.append(ChipButton("pause", label, intents.ReadDocuments(go_on=False)))
            elif not self._chat.busy:
                label = tr("Let the model read {name} now", name=name)
                buttons.append(ChipButton("brain", label, intents.ReadDocuments(go_on=True)))
        if removes is not None:
            buttons.append(ChipButton("close", tr("Remove {name}", name=name), removes))
        else:
            notes.append(tr("of the folder"))
        opens = intents.OpenAttachment(attachment)
        return Chip(attachment.name, tuple(notes), opens, tuple(buttons), fraction)

    def _in_order(self) -> tuple[str, ...]:
        """The documents as they stand in the next prompt."""
        documents = (each.sha256 for each in (*self._documents.shown, *self.attachments))
        return tuple(dict.fromkeys(filter(None, documents)))

    def read_now(self, *, go_on: bool) -> None:
        """Have the model read all documents now, or pause that."""
        if go_on:
            self._model_reading.start(self._in_order())
        else:
            self._model_reading.pause()

    def show_size(self, size: PromptSize | None) -> None:
        """The chips say of what fits the same as the composer's row."""
        before, self._whole = self._whole, size.whole if size is not None else None
        if self._whole != before:
            self._show()

    def show_text(self, shown: Attachment | Passage) -> None:
        """Show what is in a file, or a passage in its document."""
        at = shown if isinstance(shown, Passage) else None
        if self._dialog is not None and isValid(self._dialog):
            if at is not None and self._dialog.sha256 == at.sha256:
                self._dialog.show_passage(at)
                self._dialog.raise_()
                self._dialog.activateWindow()
                return
            self._dialog.close()
        self._dialog = dialog = DocumentDialog(shown.name, shown.sha256, self._window)
        dialog.show()
        if isinstance(shown, Attachment) and not shown.sha256:
            dialog.show_passages(passages_of(shown.content))
            return

        def found(passages: list[Passage]) -> None:
            if not isValid(dialog):
                return
            note = "" if passages else tr("The document is not here any more.")
            dialog.show_passages(passages or ([at] if at is not None and at.text else []), at, note)

        asked = self._documents.passages(shown.sha256)
        asked.done.connect(found)
        asked.failed.connect(self.refuse)

    def refuse(self, report: ErrorReport) -> None:
        """Show why, until the message is sent or another conversation is shown."""
        self._window.notices.show_notice(Notice(report.text(), topic=_FILES))


def _chip_being_read(progress: ReadingProgress) -> Chip:
    name = Path(progress.path).name
    stops = intents.StopReadingFile(progress.path)
    stop = ChipButton("close", tr("Remove {name}", name=name), stops)
    if not progress.total:
        return Chip(name, (tr("being read"),), None, (stop,), 0.0, "clock")
    count = trn("{n:,} page", "{n:,} pages", progress.total)
    note = tr("{done:,} of {count} read", done=progress.done, count=count)
    return Chip(name, (note,), None, (stop,), progress.done / progress.total, "clock")
