"""Moves the place in a conversation where the model's memory of it begins."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from r1desk.chat.answers.controller import ChatController
from r1desk.chat.values.prompt import memory_start
from r1desk.store import Store


class MemoryController(QObject):
    """The line above the first message that the model reads. Main thread."""

    def __init__(self, chat: ChatController) -> None:
        super().__init__()
        self._chat = chat

    @Slot(int)
    def move(self, turns: int) -> None:
        """Move the line by so many turns, later with a positive number; 0 removes it."""
        branch = self._chat.shown_branch
        questions = [i for i, message in enumerate(branch) if not message.is_answer]
        start = memory_start(branch)
        if not branch or start not in questions:
            return
        position = questions.index(start) + turns if turns else 0
        if position < len(questions):
            self._set(branch[questions[position]].id if position > 0 else None)

    def _set(self, message_id: int | None) -> None:
        leaf = self._chat.shown_branch[-1].id

        def change(store: Store) -> None:
            store.messages.set_memory_start(leaf, message_id)

        self._chat.change_branch(change)
