"""Sends, edits, regenerates and stores: between the store, the engine and the view.

The rule that everything here follows: what the user wrote is on disk before it goes to the model.
"""

from typing import TypeVar

from PySide6.QtCore import Signal, Slot

from r1desk.chat.answers.shown_chat import ShownChat
from r1desk.chat.answers.streaming_answer import QueuedAnswer
from r1desk.chat.values.message import can_go_on, discardable
from r1desk.platform.tasks import task
from r1desk.store import (
    AnswerSources,
    Attachment,
    ChatMessage,
    ConversationSettings,
    Store,
    StoreWork,
)

Changed = TypeVar("Changed")


class ChatController(ShownChat):
    """Does what the user asks for in the conversation on the screen. Main thread."""

    comparison_wanted = Signal(object)  # the question, a ChatMessage; id 0: not stored yet
    conversation_stopped = Signal(int)  # all of its answers are to end
    stopped = Signal()  # the user wants nothing to be computed for the conversation shown

    def send(
        self,
        text: str,
        attachments: tuple[Attachment, ...] = (),
        sources: AnswerSources | None = None,
    ) -> None:
        """Store the user's message, then ask the model; during an answer it is queued.

        `sources` are passages of documents that the answer is given.
        """
        parent = self.shown_branch[-1].id if self.shown_branch else None
        self._ask(text, parent, attachments, sources)

    def edit(self, message_id: int, text: str, sources: AnswerSources | None = None) -> None:
        """Begin a new branch with another wording; the old one is kept."""
        position = self._position(message_id)
        if position is not None:
            above = self.shown_branch[position - 1].id if position else None
            attachments = self.shown_branch[position].attachments
            self._ask(text, above, attachments, sources, is_edit=True)

    def regenerate(
        self, message_id: int, *, fills_context: bool = False, memory_start: int | None = None
    ) -> None:
        """Write another answer to the same message; the old one is kept if it has any text.

        `fills_context`: also where less than the reserve is free for it. `memory_start`: the model
        reads from this message on.
        """
        position = self._position(message_id)
        if not position or self.answers.storing:
            return
        old, question = self.shown_branch[position], self.shown_branch[position - 1].id
        if old.state in ("streaming", "queued"):
            return
        model = self._models.name

        def begin(store: Store) -> QueuedAnswer:
            messages = store.messages
            if memory_start is not None:
                messages.set_memory_start(question, memory_start)
            if discardable(old) and not messages.has_replies(old.id):
                answer = messages.begin_again(old.id, model)
            else:
                answer = messages.begin_answer(old.conversation_id, question, model, old.sources)
            return QueuedAnswer(answer, fills_context=fills_context)

        self.answers.add(begin, old.conversation_id)

    def continue_answer(
        self, message_id: int, *, answers_now: bool = False, memory_start: int | None = None
    ) -> None:
        """Let an answer that was cut go on; `answers_now` ends its thinking first."""
        position = self._position(message_id)
        message = self.shown_branch[position] if position else None
        if message is None or not can_go_on(message) or self.answers.storing:
            return

        def begin(store: Store) -> QueuedAnswer:
            if memory_start is not None:
                store.messages.set_memory_start(message_id, memory_start)
            store.messages.reopen_answer(message_id)
            return QueuedAnswer(message, answers_now=answers_now)

        self.answers.add(begin, message.conversation_id)

    def withdraw(self, message_id: int) -> None:
        """Take an answer that waits out of the queue, with all that was asked below it.

        Questions that have no other answer become a text that is not sent yet.
        """
        position = self._position(message_id)
        below = self.shown_branch[position:] if position else []
        keys = {message.id for message in below}
        taken = self.answers.take(keys)
        if not position or not taken:
            return
        conversation = taken[0].conversation_id
        if taken[0].content or taken[0].thinking:  # it was to be continued
            self.pending_writes.finish(taken[0])
            if not (below := below[1:]):
                return
        elif below[0].sibling_count == 1:
            below.insert(0, self.shown_branch[position - 1])
        questions = [message for message in below if not message.is_answer]
        text = "\n\n".join(message.content for message in questions if message.content)
        files = tuple(each for message in questions for each in message.attachments)

        self._delete_asked(below[0].id, conversation, text, files)

    @task
    async def _delete_asked(
        self, message_id: int, conversation: int, text: str, files: tuple[Attachment, ...]
    ) -> None:
        await self.change(conversation, lambda store: store.branches.delete(message_id))
        self.answers.give_back(conversation, text, files)

    async def change(self, conversation: int, change: StoreWork[Changed]) -> Changed:
        """Change messages in the store, and show them anew; returns what `change` returned."""
        changed, branch = await self._store.ask(
            lambda store: (change(store), store.messages.path(conversation))
        )
        self._show_changed(conversation, branch)
        return changed

    def change_branch(self, change: StoreWork[None]) -> None:
        """Change the messages shown, unless one of them is being written."""
        if self.conversation_id is not None and not self.busy_here:
            self.tasks.start(self.change(self.conversation_id, change))

    def select_sibling(self, message_id: int, delta: int) -> None:
        """Show the branch of the next or previous version of a message."""

        def select(store: Store) -> None:
            siblings = store.messages.siblings(message_id)
            position = siblings.index(message_id) + delta
            if 0 <= position < len(siblings):
                store.messages.select_branch(siblings[position])

        self.change_branch(select)

    def show_version(self, message_id: int) -> None:
        """Show the branch through a message."""

        def select(store: Store) -> None:
            store.messages.select_branch(message_id)

        self.change_branch(select)

    @Slot()
    def stop(self) -> None:
        """End the answer of the conversation shown, or the preparation of its next turn."""
        self.answers.stop(self.conversation_id)
        self.stopped.emit()

    @Slot()
    def stop_writing(self) -> None:
        """End the answer that is being written, in whatever conversation."""
        if self.answer is not None:
            self.answers.stop(self.answer.conversation_id)

    def stop_conversation(self, conversation_id: int) -> None:
        """End all answers of a conversation; texts that are there stay."""
        self.answers.stop_conversation(conversation_id)
        self.conversation_stopped.emit(conversation_id)

    def _ask(
        self,
        text: str,
        parent: int | None,
        attachments: tuple[Attachment, ...],
        sources: AnswerSources | None,
        *,
        is_edit: bool = False,
    ) -> None:
        if not text.strip() and not attachments:
            return
        shown, model = self.conversation_id, self._models.name
        if self.opening or self.answers.storing:  # the end of the branch is not known yet
            self.give_back(shown, text, attachments)
            return
        self._is_stored_now = shown is None
        append = self.appending(text, parent, attachments, is_edit=is_edit)

        def begin(store: Store) -> QueuedAnswer:
            asked = append(store)
            return QueuedAnswer(
                store.messages.begin_answer(asked.conversation_id, asked.id, model, sources)
            )

        self.answers.add(begin, shown, text, attachments)

    @task
    async def give_back(
        self, conversation: int | None, text: str, attachments: tuple[Attachment, ...]
    ) -> None:
        """Keep a message that cannot be sent now as a draft, before one that is being read."""
        if self.opening:
            await self._store.ask(lambda _: None)
        self.answers.give_back(conversation, text, attachments)

    def appending(
        self,
        text: str,
        parent: int | None,
        attachments: tuple[Attachment, ...],
        *,
        is_edit: bool = False,
    ) -> StoreWork[ChatMessage]:
        """Return a function that stores a question, in a new conversation where none is shown."""
        shown, folder_id = self.conversation_id, self.new_chat_folder
        sampling, system_prompt = self.new_chat_values()
        settings = ConversationSettings("", system_prompt, sampling)
        if not is_edit:  # else the draft is another message
            self.pending_writes.drop_draft(shown)

        def append(store: Store) -> ChatMessage:
            conversation = shown
            if conversation is None:
                conversation = store.conversations.create(settings, folder_id=folder_id).id
            if not is_edit:
                store.conversations.save_draft(shown, "")
                store.attachments.save_drafts(shown, ())
            return store.messages.append_user(conversation, text, parent, attachments)

        return append
