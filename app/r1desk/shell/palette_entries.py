"""The entries of the window's palette: its chats, models and prompts, and all of its menu."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from deepseek_r1.core.i18n import tr
from r1desk.conversations.conversation_intents import OpenConversation
from r1desk.shell.main_window import MainWindow
from r1desk.widgets.palette import PaletteEntry


def open_palette(window: MainWindow) -> None:
    """Open the palette, or leave it where it is open."""
    if window.palette_list.isVisible():
        window.palette_list.leave()
        return
    entries = (
        *_chats(window),
        *window.composer.prompt_entries(),
        *_entries(window),
        *_models(window),
    )
    window.palette_list.open(entries, tr("Find a chat, a model, a prompt or an action"))


def _chats(window: MainWindow) -> Iterator[PaletteEntry]:
    def show(conversation: int) -> None:
        window.sidebar.requested.emit(OpenConversation(conversation))
        window.composer.setFocus()

    group = tr("Chats, newest first")
    for info in sorted(window.sidebar.conversations, key=lambda info: -info.updated_at):
        yield PaletteEntry(group, info.title, partial(show, info.id))


def _models(window: MainWindow) -> Iterator[PaletteEntry]:
    for model in window.model_pill.models:
        if not (model.current or model.missing):
            load = partial(window.model_pill.model_chosen.emit, model.path)
            yield PaletteEntry(tr("Models"), model.name, load, model.fit)


def _entries(window: MainWindow) -> Iterator[PaletteEntry]:
    """The entries that would do something now."""
    window.presets_menu.aboutToShow.emit()  # it is filled for each use
    for group, actions in window.entries().items():
        for action in actions:
            if action.isEnabled() and action is not window.palette_action:
                text = action.text().replace("&&", "&")
                yield PaletteEntry(group, text, action.trigger, action.shortcut().toString())
