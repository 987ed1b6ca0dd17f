"""Deletes, changes and copies single messages; deletions and changes can be undone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import Changed, ChatController
from r1desk.chat.values.prompt import memory_start
from r1desk.platform.tasks import Tasks, Work, task
from r1desk.store import ChatMessage, Store, StoreWork

MOST_CHANGES = 100  # a deleted branch is held in memory

Undo = Callable[[], Work[None]]  # raises what the disk refuses


@dataclass(frozen=True, slots=True, eq=False)
class UndoableChange:
    """A change in a conversation; `text` names it, `undo` reverses it, then `undone` is so."""

    text: str
    conversation_id: int
    undo: Undo
    undone: str = ""


class UndoHistory(QObject):
    """Holds the changes in their order, until the application ends. Main thread."""

    added = Signal(object)  # an UndoableChange that was made just now
    undone = Signal(object)  # the UndoableChange that is being undone
    # one that could not be undone, and the ErrorReport; it can be tried again
    refused = Signal(object, object)

    def __init__(self, chat: ChatController) -> None:
        super().__init__()
        self._chat = chat
        self.tasks = Tasks(self)
        self.changes: list[UndoableChange] = []

    def add(self, text: str, conversation_id: int, undo: Undo, undone: str = "") -> None:
        """Remember a change that was made; `added` follows."""
        undone = undone or tr("Undone: {change}", change=text)
        change = UndoableChange(text, conversation_id, undo, undone)
        self._keep(change)
        self.added.emit(change)

    @Slot()
    def undo(self) -> None:
        """Undo the newest change. Does nothing where there is none, or where an answer is written.

        What was deleted is nowhere else: after a refusal it can be tried again, on a disk with
        room, say. One that fails as a bug would always fail: it makes way for those before it.
        """
        if self.changes and self._chat.answering != self.changes[-1].conversation_id:
            self._undo(self.changes.pop())

    @task
    async def _undo(self, change: UndoableChange) -> None:
        self.undone.emit(change)
        try:
            await change.undo()
        except R1Error as refused:
            self._keep(change)
            self.refused.emit(change, refused.report())

    def _keep(self, change: UndoableChange) -> None:
        self.changes = [*self.changes, change][-MOST_CHANGES:]

    def forget(self, conversation_ids: Iterable[int]) -> None:
        """Drop the changes of conversations that were deleted for good."""
        gone = set(conversation_ids)
        self.changes = [each for each in self.changes if each.conversation_id not in gone]


class MessageActions:
    """Acts on messages of the conversation on the screen. Main thread.

    Nothing is done while an answer in this conversation is being written. What waits for its turn
    is neither deleted nor copied.
    """

    def __init__(self, chat: ChatController, history: UndoHistory) -> None:
        self._chat, self.history = chat, history
        self.tasks = chat.tasks

    def delete(self, message_id: int) -> None:
        message = self._message(message_id)
        if message is None or message.conversation_id in self._chat.answers.waiting:
            return
        is_version = message.sibling_count > 1
        self._change(
            message.conversation_id,
            tr("This version was deleted.") if is_version else tr("The message was deleted."),
            lambda store: store.branches.delete(message_id),
            lambda store, deleted: store.branches.restore(deleted),
        )

    def edit_answer(self, message_id: int, text: str) -> bool:
        """Keep another text of an answer as one more version; False where it cannot be now."""
        message = self._message(message_id)
        if message is None or text == message.content:
            return message is not None

        def discard(store: Store, edited: ChatMessage) -> None:
            """Delete the version, or only leave it where the conversation went on below it."""
            with store.transaction():
                if not store.messages.has_replies(edited.id):
                    store.branches.delete(edited.id)
                store.messages.select_branch(message_id)

        self._change(
            message.conversation_id,
            tr("Your text is now a version of this answer; the model reads it."),
            lambda store: store.branches.add_edited(message_id, text),
            discard,
        )
        return True

    @task
    async def _change(
        self,
        conversation: int,
        text: str,
        change: StoreWork[Changed],
        undo: Callable[[Store, Changed], object],
    ) -> None:
        """Carry out a change, which `text` names, and remember how it is undone."""
        changed = await self._chat.change(conversation, change)

        async def reverse() -> None:
            """Undo it, and show what is back, also where another conversation is shown."""
            await self._chat.change(conversation, lambda store: undo(store, changed))
            if self._chat.conversation_id != conversation:
                self._chat.open(conversation)

        self.history.add(text, conversation, reverse)

    @task
    async def withdraw(self, message_id: int) -> None:
        """Take an answer that waits out of the queue, with all that was asked below it.

        Questions that have no other answer become a text that is not sent yet.
        """
        chat, branch = self._chat, self._chat.shown_branch
        position = chat.position(message_id)
        below = branch[position:] if position else []
        keys = {message.id for message in below}
        taken = chat.answers.take(keys)
        if not position or not taken:
            return
        conversation = taken[0].conversation_id
        if taken[0].content or taken[0].thinking:  # it was to be continued
            chat.pending_writes.finish(taken[0])
            if not (below := below[1:]):
                return
        elif below[0].sibling_count == 1:
            below.insert(0, branch[position - 1])
        questions = [message for message in below if not message.is_answer]
        text = "\n\n".join(message.content for message in questions if message.content)
        files = tuple(each for message in questions for each in message.attachments)
        first = below[0].id
        await chat.change(conversation, lambda store: store.branches.delete(first))
        chat.answers.give_back(conversation, text, files)

    @task
    async def branch_off(self, message_id: int) -> None:
        """Copy the branch down to a message into a new conversation and open that."""
        message = self._message(message_id)
        if message is None or message.conversation_id in self._chat.answers.waiting:
            return

        def copy(store: Store) -> int:
            of = store.conversations.get(message.conversation_id).title
            return store.branches.copy_to_new(message_id, tr("Branch of {title}", title=of))

        self._chat.open_new(await self._chat.store.ask(copy))

    def move_memory(self, turns: int) -> None:
        """Move the line above the first message that the model reads by so many turns.

        Later with a positive number; 0 removes it.
        """
        branch = self._chat.shown_branch
        questions = [i for i, message in enumerate(branch) if not message.is_answer]
        start = memory_start(branch)
        if not branch or start not in questions:
            return
        position = questions.index(start) + turns if turns else 0
        if position < len(questions):
            leaf, first = branch[-1].id, branch[questions[position]].id if position > 0 else None
            self._chat.change_branch(lambda store: store.messages.set_memory_start(leaf, first))

    def _message(self, message_id: int) -> ChatMessage | None:
        if self._chat.busy_here or self._chat.trashed:
            return None
        position = self._chat.position(message_id)
        return self._chat.shown_branch[position] if position is not None else None
