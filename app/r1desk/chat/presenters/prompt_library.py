"""The library of prompts: offered for the message being written, edited, kept in files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFileDialog

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr, trn
from r1desk.chat.composer.prompt_dialog import PromptDialog
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.features import Presenter
from r1desk.platform.background_thread import ask_in_background
from r1desk.store.prompt_store import (
    CONTENT_CHARACTERS,
    NAME_CHARACTERS,
    SavedPrompt,
    export_prompts,
    import_prompts,
)
from r1desk.store.store_bridge import StoreBridge, report_of
from r1desk.widgets.file_dialog import file_dialog
from r1desk.widgets.notice_bar import Level, Notice
from r1desk.widgets.palette import PaletteEntry


class PromptLibrary(Presenter):
    """Has the prompts of the store for one window."""

    def __init__(self, window: ChatWindow, store: StoreBridge) -> None:
        super().__init__(window)
        self._window, self._store = window, store
        add = window.prompts_menu.addAction
        add(tr("New prompt…"), self.edit)
        self._edit = add(tr("Edit a prompt…"), self._on_edit)
        self._export = add(tr("Export prompts…"), self._on_export)
        add(tr("Import prompts…"), self._on_import)
        self._show(())
        store.call(lambda opened: opened.prompts.all(), self._show)

    def _show(self, prompts: Sequence[SavedPrompt]) -> None:
        self._window.composer.prompts = tuple(prompts)
        self._edit.setEnabled(bool(prompts))
        self._export.setEnabled(bool(prompts))

    def _keep(self, prompts: Sequence[SavedPrompt]) -> None:
        """Store these as the library, each once, by their names; show them once they are stored."""
        kept = sorted(dict.fromkeys(prompts), key=lambda prompt: prompt.name.casefold())
        self._store.call(
            lambda store: store.prompts.replace(kept),
            lambda _: self._show(kept),
            lambda error: self._on_refused(report_of(error)),
        )

    def choose(self) -> None:
        """Offer the prompts for the message; what is typed and is none of them stays there."""
        composer = self._window.composer

        def write_one() -> None:
            composer.clear()  # of the slash
            self.edit()

        new = PaletteEntry(tr("Library"), tr("New prompt…"), write_one)
        entries = [*composer.prompt_entries(), new]
        unused = composer.editor.insertPlainText
        self._window.palette_list.open(entries, tr("Find a prompt"), composer, unused)

    @Slot()
    def _on_edit(self) -> None:
        entries = [
            PaletteEntry(tr("Prompts"), each.name, partial(self.edit, each.content, each))
            for each in self._window.composer.prompts
        ]
        self._window.palette_list.open(entries, tr("Which prompt do you want to edit?"))

    def edit(self, content: str = "", kept: SavedPrompt | None = None) -> None:
        """Open the dialog for a prompt that is kept, or for a new one that begins with a text."""
        before = self._window.composer.prompts
        others = [each for each in before if each != kept]
        name = kept.name if kept else content.strip().partition("\n")[0][:NAME_CHARACTERS]

        def delete() -> None:
            self._keep(others)
            text = tr("The prompt “{name}” was deleted.", name=name)
            self._notify(text, tr("Undo"), lambda: self._keep(before))

        is_kept = kept is not None
        dialog = PromptDialog(self._window, name, content[:CONTENT_CHARACTERS], is_kept=is_kept)
        dialog.saved.connect(lambda new: self._keep((*others, new)))
        dialog.deleted.connect(delete)
        dialog.open()

    # ---- files

    @Slot()
    def _on_export(self) -> None:
        def export(path: str) -> None:
            file = Path(path)
            text = tr("Exported to {file} in {folder}.", file=file.name, folder=str(file.parent))
            answer = ask_in_background(partial(export_prompts, self._window.composer.prompts, file))
            answer.done.connect(lambda _: self._notify(text))
            answer.failed.connect(self._on_refused)

        dialog = file_dialog(self._window, tr("Export prompts"), [tr("Prompts (*.json)")])
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("json")
        dialog.selectFile(tr("Prompts"))
        dialog.fileSelected.connect(export)
        dialog.open()

    @Slot()
    def _on_import(self) -> None:
        def keep(prompts: tuple[SavedPrompt, ...]) -> None:
            here = self._window.composer.prompts
            self._keep((*here, *prompts))
            new = len({*prompts} - {*here})
            self._notify(trn("{n} prompt imported.", "{n} prompts imported.", new))

        def read(path: str) -> None:
            answer = ask_in_background(partial(import_prompts, Path(path)))
            answer.done.connect(keep)
            answer.failed.connect(self._on_refused)

        filters = [tr("Prompts (*.json)"), tr("All files (*)")]
        dialog = file_dialog(self._window, tr("Import prompts"), filters)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(read)
        dialog.open()

    def _notify(self, text: str, *action: object) -> None:
        self._window.notices.show_notice(Notice(text, Level.INFO, *action))

    @Slot(ErrorReport)
    def _on_refused(self, report: ErrorReport) -> None:
        self._window.notices.show_notice(Notice(report.text(), Level.ERROR))
