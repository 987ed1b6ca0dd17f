"""Exports and imports conversations: the dialogs for a file, the store, and the notice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox

from deepseek_r1.catalogue.installed import app_folders
from deepseek_r1.catalogue.model_file import Owner
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import join_list, join_sentences, tr, trn
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.desktop import show_in_folder
from r1desk.platform.tasks import Tasks, task
from r1desk.store import Store
from r1desk.store.archive import export_json, export_markdown
from r1desk.store.imports import ImportedConversations, import_export
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.bounded_dialog import ask
from r1desk.widgets.file_dialog import chosen_file, file_dialog, make_saving
from r1desk.widgets.notice_bar import Level, Notice
from r1desk.widgets.text_label import Action

TextExport = Callable[[Store, Path, tuple[int, ...]], int]
MARKDOWN_SUFFIX, HTML_SUFFIX, PDF_SUFFIX = ".md", ".html", ".pdf"
_NOT_IN_NAMES = '<>:"/\\|?*'
_NAME_CHARACTERS = 60
_IMPORT = "import"  # the topic of what an import came to
NOTICE_AFTER_MS = 700  # a shorter export needs no word about it


class Archives(QObject):
    """Asks for a file, lets the store write or read it, and reports how that went.

    It outlives the window, as an export does.
    """

    imported = Signal(list)  # the new conversations

    def __init__(self, store: StoreBridge, chat: ChatController, parent: QObject) -> None:
        super().__init__(parent)
        self._store, self._chat = store, chat
        self.window: ChatWindow  # for dialogs and notices; set by the feature
        self.tasks = Tasks(self, chat.report_failure)
        self._running: list[Action] = []  # what ends an export or an import

    def close(self) -> None:
        """End exports and imports; exports write nothing."""
        for end in self._running:
            end()

    @task
    async def choose_export(self, conversation_ids: tuple[int, ...], name: str) -> None:
        """Ask where conversations, all where none is named, are to be written, in which file.

        All are most likely imported on another computer: the form that can be comes first then.
        """
        texts = [
            tr("Markdown, the text shown (*.md)"),
            tr("Web page with formulas (*.html)"),
            tr("PDF, for printing (*.pdf)"),
        ]
        archive = tr("For R1 Desk on another computer, with all versions (*.json)")
        filters = [*texts, archive] if conversation_ids else [archive, *texts]
        dialog = file_dialog(self.window, tr("Export"), filters)
        make_saving(dialog)
        dialog.setDefaultSuffix(suffix_of(filters[0]))
        dialog.filterSelected.connect(lambda chosen: dialog.setDefaultSuffix(suffix_of(chosen)))
        dialog.selectFile(file_name(name))
        if path := await chosen_file(dialog):
            # A dialog of the system does not tell of another filter before its end.
            suffix = suffix_of(dialog.selectedNameFilter())
            base = path.removesuffix(f".{dialog.defaultSuffix()}")
            self.export(conversation_ids, Path(path if base == path else f"{base}.{suffix}"))

    def choose_import(self) -> None:
        """Ask what is to be imported: a file, a folder, or another program's on this computer."""
        details = tr(
            "Choose an export of R1 Desk, ChatGPT or Open WebUI (a file or zip), or the "
            "folder where LM Studio or Jan keep their chats."
        )
        choices = {
            tr("File…"): partial(self._choose_source, QFileDialog.FileMode.ExistingFile),
            tr("Folder…"): partial(self._choose_source, QFileDialog.FileMode.Directory),
        } | {
            program.value: partial(self.import_file, folder)
            for program, folder in chats_of_programs().items()
        }
        role, title = QMessageBox.ButtonRole.ActionRole, tr("Import chats")
        buttons = [(text, role, choose) for text, choose in choices.items()]
        no_icon = QMessageBox.Icon.NoIcon
        ask(self.window, title, details, *buttons, icon=no_icon, enter=tr("File…"))

    @task
    async def _choose_source(self, mode: QFileDialog.FileMode) -> None:
        filters = [tr("Exported chats (*.json *.zip)"), tr("All files (*)")]
        dialog = file_dialog(self.window, tr("Import chats"), filters)
        dialog.setFileMode(mode)
        if path := await chosen_file(dialog):
            self.import_file(Path(path))

    def export(self, conversation_ids: tuple[int, ...], file: Path) -> None:
        """Write conversations, all where none is named; the file's suffix decides on the form."""
        if file.suffix.lower() in {HTML_SUFFIX, PDF_SUFFIX}:
            self._export_document(conversation_ids, file)
            return
        write = export_markdown if file.suffix.lower() == MARKDOWN_SUFFIX else export_json
        self._export_text(write, conversation_ids, file)

    @task
    async def _export_text(
        self, write: TextExport, conversation_ids: tuple[int, ...], file: Path
    ) -> None:
        await self._store.ask(write, file, conversation_ids)
        self._show_exported(file)

    @task
    async def _export_document(self, chosen: tuple[int, ...], file: Path) -> None:
        from r1desk.conversations.conversation_export import ConversationExport  # noqa: PLC0415 - not at start

        export = ConversationExport(self._store, file, chosen)
        try:
            with self._waiting(tr("Writing {file}…", file=file.name), export.cancel, export.close):
                if await export.written():
                    self._show_exported(file)
        except R1Error as refused:
            self._show(str(refused), Level.ERROR)

    @task
    async def import_file(self, file: Path) -> None:
        """Store the conversations of an export as new ones, but for those that are here already."""
        self.window.notices.withdraw(_IMPORT)
        stop = threading.Event()
        try:
            with self._waiting(tr("Importing {file}…", file=file.name), stop.set, stop.set):
                done = await ask_in_background(import_export, self._store.run, file, stop)
        except R1Error as refused:
            self._show(str(refused), Level.INFO if stop.is_set() else Level.ERROR, _IMPORT)
            return
        self.imported.emit(list(done.ids))
        ways: dict[str, Action] = {}
        if done.ids:
            latest = await self._store.ask(lambda store: store.conversations.latest_of(done.ids))
            ways[tr("Open")] = partial(self._chat.open, latest)
        self.window.notices.show_notice(Notice(_outcome(done), Level.INFO, ways, _IMPORT))

    @contextmanager
    def _waiting(self, text: str, stop: Action, close: Action) -> Iterator[None]:
        """Show a notice while work lasts; `stop` is for the user, `close` for the end."""
        self._running.append(close)
        waiting = Notice(text, Level.WORK, {tr("Cancel"): stop})
        timer = QTimer(self, singleShot=True, interval=NOTICE_AFTER_MS)
        timer.timeout.connect(lambda: self.window.notices.show_notice(waiting))
        timer.start()
        try:
            yield
        finally:
            self._running.remove(close)
            timer.deleteLater()
            self.window.notices.withdraw(text)

    def _show_exported(self, file: Path) -> None:
        folder = str(file.absolute().parent)
        text = tr("Exported to {file} in {folder}.", file=file.name, folder=folder)
        ways = {tr("Show in folder"): partial(show_in_folder, file.absolute())}
        self.window.notices.show_notice(Notice(text, Level.INFO, ways))

    def _show(self, text: str, level: Level = Level.INFO, topic: str = "") -> None:
        self.window.notices.show_notice(Notice(text, level, topic=topic))


def _outcome(done: ImportedConversations) -> str:
    texts = [trn("{n} chat imported.", "{n} chats imported.", len(done.ids))]
    if done.already_here:
        texts.append(trn("{n} was here already.", "{n} were here already.", done.already_here))
    if kinds := [f"{tr(kind.value)} ({n:,})" for kind, n in done.left_out.items() if n]:
        texts.append(tr("Left out: {kinds}.", kinds=join_list(kinds)))
    return join_sentences(texts)


def chats_of_programs() -> dict[Owner, Path]:
    """The folders with the chats of other programs on this computer."""
    folders = app_folders()
    places = [
        (Owner.LM_STUDIO, folder.parent / "conversations") for folder in folders[Owner.LM_STUDIO]
    ]
    places += [(Owner.JAN, folder / "threads") for folder in folders[Owner.JAN]]
    return {program: place for program, place in reversed(places) if place.is_dir()}


def suffix_of(name_filter: str) -> str:
    """The suffix in a filter of the dialog, "md" in "Markdown (*.md)"."""
    return name_filter.rpartition("*.")[2].rstrip(")")


def file_name(title: str) -> str:
    """A name that every system takes, from a conversation's title."""
    kept = "".join(" " if c in _NOT_IN_NAMES or not c.isprintable() else c for c in title)
    return " ".join(kept.split())[:_NAME_CHARACTERS].strip(" .…") or "conversation"
