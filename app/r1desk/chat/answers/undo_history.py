"""The changes that can be undone: deletions, and answers changed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error

MOST_CHANGES = 100  # a deleted branch is held in memory

Undo = Callable[[Callable[[Exception], None]], None]  # calls what it is given where it is refused


@dataclass(frozen=True, slots=True, eq=False)
class UndoableChange:
    """A change in a conversation; `text` names it, `undo` reverses it."""

    text: str
    conversation_id: int
    undo: Undo


class UndoHistory(QObject):
    """Holds the changes in their order, until the application ends. Main thread.

    Signals:
        added: an UndoableChange that was made just now.
        undone: the UndoableChange that is being undone.
        refused: one that could not be undone, and the ErrorReport; it can be tried again.
    """

    added = Signal(object)
    undone = Signal(object)
    refused = Signal(object, object)

    def __init__(self, is_blocked: Callable[[int], bool], parent: QObject | None = None) -> None:
        """`is_blocked` returns whether nothing can be undone in this conversation now."""
        super().__init__(parent)
        self._is_blocked = is_blocked
        self._changes: list[UndoableChange] = []

    def add(self, text: str, conversation_id: int, undo: Undo) -> None:
        """Remember a change that was made; `added` follows."""
        change = UndoableChange(text, conversation_id, undo)
        self._keep(change)
        self.added.emit(change)

    @Slot()
    def undo(self) -> None:
        """Undo the newest change. Does nothing where there is none, or where it has to wait."""
        if self._changes and not self._is_blocked(self._changes[-1].conversation_id):
            change = self._changes.pop()
            self.undone.emit(change)
            change.undo(partial(self._on_refused, change))

    def _on_refused(self, change: UndoableChange, error: Exception) -> None:
        """What was deleted is nowhere else: it can be tried again, on a disk with room, say."""
        self._keep(change)
        if not isinstance(error, R1Error):
            raise error
        self.refused.emit(change, error.report())

    def _keep(self, change: UndoableChange) -> None:
        self._changes = [*self._changes, change][-MOST_CHANGES:]

    def forget(self, conversation_ids: Iterable[int]) -> None:
        """Drop the changes of conversations that were deleted for good."""
        gone = set(conversation_ids)
        self._changes = [each for each in self._changes if each.conversation_id not in gone]
