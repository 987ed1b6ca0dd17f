"""The files of the message being written and of the chat: chosen, shown, removed."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QFileDialog

from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.documents.reading import PICTURES, SUFFIXES
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.file_reader import FileReading
from r1desk.chat.context.loaded_model import MeasuredSpeed
from r1desk.chat.context.prompt_preparation import DocumentPrefill
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.document_lists import UnreadFiles
from r1desk.chat.text.attachment_chip import (
    Chip,
    ChipButton,
    ChipChoice,
    about_tokens,
    short_name,
    size_notes,
)
from r1desk.chat.values.duration import price_text
from r1desk.chat.values.intents import OpenAttachment
from r1desk.chat.values.prompt import PromptSize, tokens_of
from r1desk.features import Presenter
from r1desk.store import Attachment
from r1desk.widgets.file_dialog import file_dialog
from r1desk.widgets.text_label import Action

_FILES = "files of the message"  # a topic of notices
_MOST_CHIPS = 3  # documents that have a chip each


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
        self._prefill, self._unread = prefill, UnreadFiles(window, documents.files, _FILES)
        self._whole: tuple[str, ...] | None = None  # documents that are read whole; None: no model
        self._unfolded: set[str] = set()  # the first of many documents, which have a chip each
        self._thumbnails: dict[str, QPixmap] = {}  # of pictures that were pasted, by document
        self._read: Sequence[str] = ()  # documents that the model has read
        window.chats_menu.addAction(tr("Attach files…"), "Ctrl+U", self.choose)
        window.chats_menu.addAction(tr("Attach a folder…"), self.choose_folder)
        chat.leaving.connect(self.clear)
        for missing in (documents.files.refused, documents.files.locked):
            missing.connect(window.composer.keep)
        documents.files.file_read.connect(self._on_file_read)
        for ours in (documents.changed, documents.draft_changed, documents.files.changed):
            ours.connect(self._show)
        for others in (chat.branch_shown, chat.busy_changed, prefill.changed, speed.changed):
            others.connect(self._show)

    @Slot()
    def choose(self) -> None:
        every = " ".join(f"*{suffix}" for suffix in sorted(SUFFIXES | PICTURES))
        filters = [f"{tr('Documents, text and code')} ({every})", tr("All files (*)")]
        self._choose(tr("Attach files"), QFileDialog.FileMode.ExistingFiles, filters)

    @Slot()
    def choose_folder(self) -> None:
        self._choose(tr("Attach a folder"), QFileDialog.FileMode.Directory, [])

    def _choose(self, title: str, mode: QFileDialog.FileMode, filters: list[str]) -> None:
        dialog = file_dialog(self._window, title, filters)
        dialog.setFileMode(mode)
        dialog.setOption(QFileDialog.Option.HideNameFilterDetails)  # fifty endings
        dialog.filesSelected.connect(self.add_paths)
        dialog.open()

    @Slot(list)
    def add_paths(self, paths: Sequence[str]) -> None:
        self._unread.clear()
        self._documents.files.read(paths)
        self._window.composer.setFocus()

    def add_picture(self, picture: QImage) -> None:
        self._unread.clear()
        self._documents.files.read_picture(picture)

    def add_page(self, address: str) -> None:
        self._unread.clear()
        self._documents.files.read_page(address)

    @Slot(object, object)
    def _on_file_read(self, reading: FileReading, file: Attachment) -> None:
        if reading.thumbnail is not None:
            self._thumbnails[file.sha256] = QPixmap.fromImage(reading.thumbnail)
            self._show()
        if reading.address and reading in self._documents.readings:
            self._window.composer.remove_read(reading.address)
        elif reading.text and not reading.stop.is_set():  # it is a document now
            self._window.composer.remove_attached(reading.text)

    @Slot()
    def clear(self) -> None:
        """The message goes, or another one is shown: so does what was said of its files."""
        self._window.composer.keep()
        self._documents.leave_draft()
        self._unread.clear()

    def _remove(self, place: int) -> None:
        draft = self._documents.draft
        self._prefill.pause()
        self._documents.change_draft(draft[:place] + draft[place + 1 :])

    def _end_reading(self, reading: FileReading) -> None:
        self._window.composer.keep()
        self._documents.files.end(reading)

    @Slot()
    def _show(self) -> None:
        documents = self._documents
        self._read = self._prefill.read_of(self._in_order())
        drafted, inside = {each.sha256 for each in documents.draft}, documents.of_folder
        earlier = [each for each in documents.shown if each.sha256 not in drafted]
        shared = [each for each in earlier if each.sha256 in inside]
        mine: list[tuple[Attachment, Action | None]] = [
            (each, partial(documents.remove, each.sha256))
            for each in earlier
            if each.sha256 not in inside
        ]
        mine += [(each, partial(self._remove, at)) for at, each in enumerate(documents.draft)]
        count = trn(
            "{n:,} document from the folder", "{n:,} documents from the folder", len(shared)
        )
        chips = self._chips(count, [(each, None) for each in shared])
        chips += self._chips(trn("{n:,} document", "{n:,} documents", len(mine)), mine)
        for each in documents.readings:
            button = ChipButton("close", _removal(each.name), partial(self._end_reading, each))
            notes = (tr("Reading…"), *[tr("page {n}", n=f"{each.page:,}")] * bool(each.page))
            chips.append(Chip(each.name, notes, None, (button,), icon="clock"))
        attached, reading = bool(documents.draft), bool(documents.readings)
        self._window.composer.set_chips(chips, attached=attached, reading=reading)

    def _chips(self, title: str, files: Sequence[tuple[Attachment, Action | None]]) -> list[Chip]:
        """A chip for each file; of many one for all, which shows the others by a click."""
        each_one = [self._chip(*file) for file in files]
        if len(files) <= _MOST_CHIPS:
            return each_one
        documents = [file for file, _removes in files]
        notes, buttons, fraction = self._reading_of(documents, title)
        tokens = sum(map(tokens_of, documents))
        notes.insert(0, about_tokens(tokens))
        unfolds = partial(self._unfold, documents[0].sha256)
        is_open = documents[0].sha256 in self._unfolded
        tip = tr("Show them as one") if is_open else tr("Show each of them")
        sign = "chevron-down" if is_open else "chevron-right"
        folded = Chip(title, tuple(notes), unfolds, tuple(buttons), fraction, sign, tip)
        return [folded, *each_one] if is_open else [folded]

    def _unfold(self, first: str) -> None:
        self._unfolded ^= {first}
        self._show()

    def _chip(self, attachment: Attachment, removes: Action | None) -> Chip:
        """A file, and what becomes of it with the next question. All are read ahead as one."""
        name = short_name(attachment.name)
        notes, buttons, fraction = self._reading_of([attachment], name)
        notes[:0] = size_notes(attachment)
        if removes is not None:
            buttons.append(ChipButton("close", _removal(name), removes))
        else:
            notes.append(tr("from the folder"))
        if Path(attachment.name).suffix.lower() in PICTURES:
            notes.insert(0, tr("only its text is read"))
        opens = partial(self._window.composer.requested.emit, OpenAttachment(attachment))
        picture = self._thumbnails.get(attachment.sha256)
        return Chip(attachment.name, tuple(notes), opens, tuple(buttons), fraction, picture=picture)

    def _reading_of(
        self, files: Sequence[Attachment], name: str
    ) -> tuple[list[str], list[ChipButton], float | None]:
        """What becomes of files with the next question: notes, buttons, the fraction read."""
        notes, buttons, fraction, prefill = list[str](), list[ChipButton](), None, self._prefill
        if self._whole is None or not all(each.sha256 for each in files):
            return notes, buttons, fraction
        whole = [each for each in files if each.sha256 in self._whole]
        unread = [each for each in whole if each.sha256 not in self._read]
        if not whole:
            notes.append(tr("searched"))
        elif len(whole) < len(files):
            count = len(files) - len(whole)
            notes.append(trn("{n:,} of them searched", "{n:,} of them searched", count))
        if whole and not unread:
            notes.append(tr("Read"))
        left = sum(map(tokens_of, unread))
        if unread:
            if {each.sha256 for each in unread} <= set(prefill.begun_of(self._in_order())):
                fraction = prefill.fraction
                notes.append(tr("{share} read", share=f"{fraction:.0%}"))
                left = round((1 - fraction) * left)
            if (seconds := self._speed.reading_s(left)) is not None:
                notes.append(tr("about {duration} to read", duration=price_text(seconds)))
            if prefill.is_running:
                label = tr("Pause reading {name}", name=name)
                buttons.append(ChipButton("pause", label, prefill.pause))
            elif not self._chat.busy:
                label = tr("Read {name} now", name=name)
                start = partial(prefill.start, self._in_order())
                buttons.append(ChipButton("brain", label, start))
        context = self._documents.context_length
        mine = [each for each in files if each.searched and tokens_of(each) < context]
        if whole or mine:
            buttons.append(self._choice([*whole, *mine], left + sum(map(tokens_of, mine))))
        else:
            choices = (
                ChipChoice(tr("Too long to be read whole in this context"), None),
                self._search_by(),
            )
            buttons.append(ChipButton("chevron-down", tr("How it is searched"), choices=choices))
        return notes, buttons, fraction

    def _choice(self, files: Sequence[Attachment], left: int) -> ChipButton:
        """The button that has documents read whole or searched; `left` tokens are not read yet."""
        change, sha256s = self._documents.set_searched, [each.sha256 for each in files]
        tokens = min(self._documents.searched_tokens, sum(map(tokens_of, files)))
        is_whole = not any(each.searched for each in files)
        choices = (
            (tr("Read whole: {price}", price=self._price(left)), False),
            (tr("Search: {price}", price=self._price(tokens)), True),
        )
        ways = (
            ChipChoice(label, partial(change, sha256s, searched=searched), searched != is_whole)
            for label, searched in choices
        )
        title = tr("Read whole or search")
        return ChipButton("chevron-down", title, choices=(*ways, self._search_by()))

    def _search_by(self) -> ChipChoice:
        """What orders the passages of a search."""
        if model := self._documents.embedding_model:
            return ChipChoice(tr("Searched by words, and by meaning with {name}", name=model), None)
        label = tr("Searched by words only. Choose an embedding model…")
        return ChipChoice(label, partial(self._window.open_setting, "embedding_model"))

    def _price(self, tokens: int) -> str:
        if not tokens:
            return tr("Read")
        if (seconds := self._speed.reading_s(tokens)) is None:
            return about_tokens(tokens)
        return tr("about {duration}", duration=price_text(seconds))

    def _in_order(self) -> tuple[str, ...]:
        """The documents that are read whole, as in the next prompt."""
        of_question = self._documents.of_question(self._documents.draft)
        return tuple(each for each in of_question if each in (self._whole or ()))

    def show_size(self, size: PromptSize | None) -> None:
        """The chips say of what fits the same as the composer's row."""
        before, self._whole = self._whole, size.whole if size is not None else None
        if self._whole != before:
            self._show()


def _removal(name: str) -> str:
    return tr("Remove {name}", name=name)
