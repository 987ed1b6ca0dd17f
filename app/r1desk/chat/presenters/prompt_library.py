"""The library of prompts: offered for the message being written, edited, kept in files."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QLineEdit, QWidget

from deepseek_r1.core.i18n import N_, tr, trn
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text.editor import PlainEdit
from r1desk.features import Presenter
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, report_of, task
from r1desk.store import Store
from r1desk.store.archive import export_prompts
from r1desk.store.imports import import_prompts
from r1desk.store.prompt_store import CONTENT_CHARACTERS, NAME_CHARACTERS, PromptStore, SavedPrompt
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.file_dialog import chosen_file, file_dialog, make_saving
from r1desk.widgets.notice_bar import Level, Notice
from r1desk.widgets.palette import PaletteEntry
from r1desk.widgets.text_label import Action, call_with, text_label

Change = Callable[..., Sequence[SavedPrompt]]  # a method of the PromptStore
_SHIPPED = {
    N_("Summarise"): N_("Summarise this in five short points:\n\n{{text}}"),
    N_("Explain simply"): N_("Explain {{topic}} in simple words, with an example from daily life."),
    N_("Correct my text"): N_(
        "Correct spelling and grammar. Keep my style, and list what you changed:\n\n{{text}}"
    ),
    N_("Translate"): N_("Translate into {{language}}. Write the translation only:\n\n{{text}}"),
    N_("Write an e-mail"): N_(
        "Write a short, friendly e-mail to {{person}}. It should say: {{message}}"
    ),
    N_("Explain this code"): N_(
        "Explain step by step what this code does, and point out mistakes:\n\n{{code}}"
    ),
    N_("Solve step by step"): N_("Solve this step by step and check the result:\n\n{{problem}}"),
    N_("For and against"): N_(
        "List the strongest arguments for and against {{question}}, then say what it depends on."
    ),
}


class PromptDialog(BoundedDialog):
    """Asks for a prompt's name and text, or whether one that is kept is to be deleted."""

    saved = Signal(object)  # SavedPrompt

    def __init__(self, parent: QWidget, content: str, kept: SavedPrompt | None) -> None:
        super().__init__(parent, tr("Prompt"), QSize(560, 420))
        name = kept.name if kept else content.strip().partition("\n")[0]
        self.name = QLineEdit(name[:NAME_CHARACTERS], maxLength=NAME_CHARACTERS)
        self.content = PlainEdit()
        self.content.setTabChangesFocus(True)
        self.content.setPlainText(content[:CONTENT_CHARACTERS])
        column = self.fill_column(spacing=8)
        for title, field in ((tr("Name"), self.name), (tr("Text"), self.content)):
            field.setAccessibleName(title)
            column.addWidget(text_label(title))
            column.addWidget(field)
            field.textChanged.connect(self._on_changed)
        note = tr("{example} is a field, which you fill in when you use it.", example="{{topic}}")
        column.addWidget(text_label(note, "dim"))
        choices = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(choices.Save | choices.Cancel)
        self.buttons.accepted.connect(self._on_saved)
        role = QDialogButtonBox.ButtonRole.DestructiveRole
        self.delete_button = self.buttons.addButton(tr("Delete"), role)
        self.delete_button.setVisible(kept is not None)
        self.delete_button.clicked.connect(self.reject)
        self._on_changed()
        self.name.setFocus()
        self.name.selectAll()

    @Slot()
    def _on_changed(self) -> None:
        content = self.content.toPlainText()
        is_whole = bool(self.name.text().strip() and content.strip())
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(is_whole and len(content) <= CONTENT_CHARACTERS)

    @Slot()
    def _on_saved(self) -> None:
        name, content = self.name.text().strip(), self.content.toPlainText()
        self.saved.emit(SavedPrompt(name=name, content=content))
        self.accept()


class PromptLibrary(Presenter):
    """Has the prompts of the store for one window."""

    def __init__(self, window: ChatWindow, store: StoreBridge) -> None:
        super().__init__(window)
        self._window, self._store = window, store
        self.tasks = Tasks(self, self._refuse)
        add = window.prompts_menu.addAction
        add(tr("New prompt…"), self.edit)
        self._edit = add(tr("Edit a prompt…"), self._on_edit)
        self._export = add(tr("Export prompts…"), self._on_export)
        add(tr("Import prompts…"), self._on_import)
        window.composer.editor.slash_typed.connect(self._on_slash)
        self._show(())
        self._begin()

    def _show(self, prompts: Sequence[SavedPrompt]) -> None:
        self._window.composer.prompts = tuple(prompts)
        for action in (self._edit, self._export):
            action.setEnabled(bool(prompts))

    @task
    async def _begin(self) -> None:
        def read(store: Store) -> Sequence[SavedPrompt]:
            prompts = store.prompts
            return prompts.first(_shipped_prompts()) if store.writable else prompts.all()

        self._show(await self._store.ask(read))

    @task
    async def _change(self, change: Change, *prompts: SavedPrompt) -> None:
        """Change the library, which may have changed meanwhile, and show it."""
        self._show(await self._store.ask(lambda store: change(store.prompts, *prompts)))

    @Slot()
    def _on_slash(self) -> None:
        """Offer the prompts for the message; what is typed and is more than a name stays there."""
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
        dialog = PromptDialog(self._window, content, kept)
        if kept is None:
            dialog.saved.connect(partial(self._change, PromptStore.add))
        else:
            dialog.saved.connect(partial(self._change, PromptStore.change, kept))
            call_with(dialog.delete_button.clicked, self._delete, kept)
        dialog.open()

    def _delete(self, kept: SavedPrompt) -> None:
        self._change(PromptStore.remove, kept)
        text = tr("The prompt “{name}” was deleted.", name=kept.name)
        self._notify(text, partial(self._change, PromptStore.add, kept))

    @task
    async def _on_export(self) -> None:
        dialog = file_dialog(self._window, tr("Export prompts"), [tr("Prompts (*.json)")])
        make_saving(dialog)
        dialog.setDefaultSuffix("json")
        dialog.selectFile(tr("Prompts"))
        if path := await chosen_file(dialog):
            file = Path(path)
            await self._store.ask(export_prompts, file)
            folder = str(file.parent)
            self._notify(tr("Exported to {file} in {folder}.", file=file.name, folder=folder))

    @task
    async def _on_import(self) -> None:
        filters = [tr("Prompts (*.json)"), tr("All files (*)")]
        dialog = file_dialog(self._window, tr("Import prompts"), filters)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        if path := await chosen_file(dialog):
            prompts = await ask_in_background(import_prompts, Path(path))
            new = len({*prompts} - {*self._window.composer.prompts})
            self._show(await self._store.ask(lambda store: store.prompts.add(*prompts)))
            self._notify(trn("{n} prompt imported.", "{n} prompts imported.", new))

    def _refuse(self, error: Exception) -> None:
        self._window.notices.show_notice(Notice(report_of(error).text(), Level.ERROR))

    def _notify(self, text: str, undo: Action | None = None) -> None:
        actions = {tr("Undo"): undo} if undo is not None else {}
        self._window.notices.show_notice(Notice(text, Level.INFO, actions))


def _shipped_prompts() -> tuple[SavedPrompt, ...]:
    """The prompts that the library begins with, in the current language."""
    return tuple(SavedPrompt(name=tr(name), content=tr(text)) for name, text in _SHIPPED.items())
