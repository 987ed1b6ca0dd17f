"""The changes that can be undone: deletions, and answers changed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

MOST_CHANGES = 100  # a deleted branch is held in memory


@dataclass(frozen=True, slots=True, eq=False)
class UndoableChange:
    """A change in a conversation; `text` names it, `undo` reverses it."""

    text: str
    conversation_id: int
    undo: Callable[[], None]


class UndoHistory(QObject):
    """Holds the changes in their order, until the application ends. Main thread.

    Signals:
        added: an UndoableChange that was made just now.
        undone: the UndoableChange that is being undone.
    """

    added = Signal(object)
    undone = Signal(object)

    def __init__(self, is_blocked: Callable[[int], bool], parent: QObject | None = None) -> None:
        """`is_blocked` returns whether nothing can be undone in this conversation now."""
        super().__init__(parent)
        self._is_blocked = is_blocked
        self._changes: list[UndoableChange] = []

    def add(self, text: str, conversation_id: int, undo: Callable[[], None]) -> None:
        """Remember a change that was made; `added` follows."""
        change = UndoableChange(text, conversation_id, undo)
        self.put_back(change)
        self.added.emit(change)

    def put_back(self, change: UndoableChange) -> None:
        """Remember a change again whose undoing failed."""
        self._changes = [*self._changes, change][-MOST_CHANGES:]

    @Slot()
    def undo(self) -> None:
        """Undo the newest change. Does nothing where there is none, or where it has to wait."""
        if self._changes and not self._is_blocked(self._changes[-1].conversation_id):
            change = self._changes.pop()
            self.undone.emit(change)
            change.undo()

    def forget(self, conversation_ids: Iterable[int]) -> None:
        """Drop the changes of conversations that were deleted for good."""
        gone = set(conversation_ids)
        self._changes = [each for each in self._changes if each.conversation_id not in gone]
