"""Deletes, changes and copies single messages; deletions and changes can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.store import ChatMessage, Store
from r1desk.store.branch_store import DeletedBranch
from r1desk.store.store_bridge import StoreBridge, report_of

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
        self.refused.emit(change, report_of(error))

    def _keep(self, change: UndoableChange) -> None:
        self._changes = [*self._changes, change][-MOST_CHANGES:]

    def forget(self, conversation_ids: Iterable[int]) -> None:
        """Drop the changes of conversations that were deleted for good."""
        gone = set(conversation_ids)
        self._changes = [each for each in self._changes if each.conversation_id not in gone]


class MessageActions(QObject):
    """Acts on messages of the conversation on the screen. Main thread.

    Nothing is done while an answer in this conversation is being written.

    Signals:
        failed: ErrorReport.
    """

    failed = Signal(ErrorReport)

    def __init__(
        self, store: StoreBridge, chat: ChatController, history: UndoHistory, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._chat = chat
        self.history = history

    def delete(self, message_id: int) -> None:
        """Delete a message and all below it."""
        conversation, message = self._chat.conversation_id, self._message(message_id)
        if conversation is None or message is None:
            return

        def work(store: Store) -> tuple[DeletedBranch, list[ChatMessage]]:
            deleted = store.branches.delete(message_id)
            return deleted, store.messages.path(conversation)

        def done(result: tuple[DeletedBranch, list[ChatMessage]]) -> None:
            deleted, branch = result
            is_version = message.sibling_count > 1
            text = tr("This version was deleted.") if is_version else tr("The message was deleted.")
            self._chat.show_changed(conversation, branch)
            self.history.add(text, conversation, partial(self._restore, deleted))

        self._store.call(work, done, self._on_failed)

    def edit_answer(self, message_id: int, text: str) -> None:
        """Keep another text of an answer as one more version."""
        conversation, message = self._chat.conversation_id, self._message(message_id)
        if conversation is None or message is None or text == message.content:
            return

        def work(store: Store) -> tuple[int, list[ChatMessage]]:
            edited = store.branches.add_edited(message_id, text).id
            return edited, store.messages.path(conversation)

        def done(result: tuple[int, list[ChatMessage]]) -> None:
            edited, branch = result
            text = tr("Your text is now a version of this answer; the model reads it.")
            self._chat.show_changed(conversation, branch)
            discard = partial(self._discard_edit, conversation, edited, message_id)
            self.history.add(text, conversation, discard)

        self._store.call(work, done, self._on_failed)

    def branch_off(self, message_id: int, title: str) -> None:
        """Copy the branch down to a message into a new conversation and open that."""
        if self._message(message_id) is None:
            return
        self._store.call(
            lambda store: store.branches.copy_to_new(message_id, title),
            self._on_branched,
            self._on_failed,
        )

    # ---- undoing

    def _restore(self, deleted: DeletedBranch, refused: Callable[[Exception], None]) -> None:
        conversation = deleted.conversation_id

        def work(store: Store) -> list[ChatMessage]:
            store.branches.restore(deleted)
            return store.messages.path(conversation)

        self._store.call(work, partial(self._show_undone, conversation), refused)

    def _discard_edit(
        self,
        conversation: int,
        edited: int,
        message_id: int,
        refused: Callable[[Exception], None],
    ) -> None:
        """Delete the edited version, or only leave it where the conversation went on below it."""

        def work(store: Store) -> list[ChatMessage]:
            with store.transaction():
                if not store.messages.has_replies(edited):
                    store.branches.delete(edited)
                store.messages.select_branch(message_id)
            return store.messages.path(conversation)

        self._store.call(work, partial(self._show_undone, conversation), refused)

    def _show_undone(self, conversation: int, branch: list[ChatMessage]) -> None:
        """Show what is back, also where another conversation is on the screen."""
        if self._chat.conversation_id == conversation:
            self._chat.show_changed(conversation, branch)
        else:
            self._chat.list_changed.emit()
            self._chat.open(conversation)

    def _message(self, message_id: int) -> ChatMessage | None:
        """A message that may be changed now."""
        if self._chat.busy_here or self._chat.trashed:
            return None
        return next((m for m in self._chat.shown_branch if m.id == message_id), None)

    def _on_branched(self, conversation: int) -> None:
        self._chat.list_changed.emit()
        self._chat.open(conversation)

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(report_of(error))
