"""Sends, edits, regenerates and stores: between the store, the engine and the view.

The rule that everything here follows: what the user wrote is on disk before it goes to the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from r1desk.chat.answers.answer_queue import AnswerQueue, Branch, Defaults, DocumentText
from r1desk.chat.answers.pending_writes import Draft, PendingWrites
from r1desk.chat.answers.streaming_answer import QueuedAnswer, StreamingAnswer
from r1desk.chat.values.message import can_go_on, discardable
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.tasks import Tasks, report_of, task
from r1desk.store import (
    AnswerSources,
    Attachment,
    ChatMessage,
    ConversationSettings,
    MessageState,
    Store,
)
from r1desk.store.store_bridge import StoreBridge

Changed = TypeVar("Changed")


class ChatController(QObject):
    """Owns the conversation on the screen and the answer being written. Main thread."""

    branch_shown = Signal(object, list)  # conversation or None, list of ChatMessage
    match_requested = Signal(int, str)  # message, query: scroll to it and mark the query's words
    answer_finished = Signal(object)  # ChatMessage, of the conversation shown
    list_changed = Signal()
    leaving = Signal()  # another conversation is about to be shown
    comparison_wanted = Signal(object)  # the question, a ChatMessage; id 0: not stored yet
    conversation_stopped = Signal(int)  # all of its answers are to end
    stopped = Signal()  # the user wants nothing to be computed for the conversation shown
    preparing_changed = Signal()
    draft_restored = Signal(str, tuple)  # text, attachments

    def __init__(
        self,
        engine: EngineBridge,
        store: StoreBridge,
        model_name: Callable[[], str],
        defaults: Defaults,
        *,
        model_path: Callable[[], str] = str,
        context_length: Callable[[], int] = int,
        document_text: DocumentText = lambda _sources: "",
    ) -> None:
        """`model_name`, `model_path` and `context_length` are of the model that answers next."""
        super().__init__()
        self._store, self.model_name = store, model_name
        self.tasks = Tasks(self, self.report_failure)
        self.new_chat_defaults: Defaults = defaults  # of a conversation that is stored just now
        self.conversation_id: int | None = None
        self.new_chat_folder: int | None = None  # where the next new conversation is stored
        self.shown_branch: Branch = []
        self.trashed = False  # the conversation shown is in the trash
        self._is_stored_now = False  # the conversation shown is new, and its question sent
        self.opening = False  # until the branch of the conversation is read
        self.preparing = False  # its next turn is being computed, before it is asked for
        store.failed.connect(self.report_failure)
        self.pending_writes = PendingWrites(store)
        self.pending_writes.saved.connect(self._on_saved)
        self.pending_writes.kept.connect(self._on_kept)
        self.failed = self.pending_writes.failed  # ErrorReport: something was not stored or read
        self.recovered = self.pending_writes.recovered  # what could not be saved is saved
        self._answers = AnswerQueue(
            engine,
            self.pending_writes,
            defaults,
            context_length=context_length,
            model_path=model_path,
            shown=lambda: self.conversation_id,
            document_text=document_text,
        )
        self._answers.stored.connect(self._on_stored)
        self._answers.begun.connect(self._show)
        self.busy_changed = self._answers.busy_changed
        self.unsent_restored = self._answers.unsent  # text, attachments; before what is written now
        self.model_wanted = self._answers.model_wanted  # a question waits for a model
        self.stop_answer_of = self._answers.stop  # a conversation
        self.add_answer = self._answers.add
        self.hold_answers = self._answers.hold
        self.answer_now = self._answers.answer_now
        self.streamed = self._answers.streamed

    # ---- what is shown ----------------------------------------------------------------------

    @property
    def answer(self) -> StreamingAnswer | None:
        """The answer being written."""
        return self._answers.answer

    @property
    def busy(self) -> bool:
        """True while an answer is being written or a message being stored."""
        return self.answer is not None or bool(self._answers.storing)

    @property
    def waiting(self) -> frozenset[int]:
        """The conversations of which an answer waits for its turn."""
        return self._answers.waiting

    @property
    def busy_here(self) -> bool:
        """True while the answer being written belongs to the conversation shown."""
        return self.busy and (self.answer is None or self.answering == self.conversation_id)

    @property
    def answering(self) -> int | None:
        """The conversation whose answer is being written."""
        return self.answer.conversation_id if self.answer is not None else None

    def new_chat(self, folder_id: int | None = None) -> None:
        """Show an empty conversation; it is stored with its first message, in this folder."""
        self._leave()
        self.new_chat_folder = folder_id
        self.begin()

    def _leave(self) -> None:
        self.opening, self._is_stored_now = True, False
        self.leaving.emit()

    def begin(self) -> None:
        """Show an empty conversation; what is typed by now stays."""
        self.conversation_id = None
        self.trashed = False
        self._show(None, [])
        self._read_draft()

    @task
    async def _read_draft(self) -> None:
        text, attachments = await self._store.ask(
            lambda store: (store.conversations.draft(None), store.attachments.drafts(None))
        )
        self._restore(None, text, attachments)

    def open(self, conversation_id: int, message_id: int = 0, query: str = "") -> None:
        """Show a stored conversation at a message; 0 stands for none, which shows its end."""
        self._leave()
        self._open(conversation_id, message_id, query)

    def open_new(self, conversation_id: int) -> None:
        """Show a conversation that was stored just now."""
        self.list_changed.emit()
        self.open(conversation_id)

    def ask_others(self, question: ChatMessage) -> None:
        """Let several models answer; a question with the id 0 is not stored yet."""
        self.comparison_wanted.emit(question)

    @task
    async def _open(self, conversation_id: int, message_id: int = 0, query: str = "") -> None:
        def read(store: Store) -> tuple[Branch, str, tuple[Attachment, ...], bool]:
            branch = store.messages.path(conversation_id)
            if message_id and store.writable and all(m.id != message_id for m in branch):
                branch = store.messages.select_branch(message_id)
            draft = store.conversations.draft(conversation_id)
            trashed = store.conversations.get(conversation_id).trashed_at is not None
            return branch, draft, store.attachments.drafts(conversation_id), trashed

        self.conversation_id = conversation_id
        self.opening = True
        try:
            branch, draft, attachments, trashed = await self._store.ask(read)
        except R1Error:
            if conversation_id == self.conversation_id:
                self.begin()  # what is typed next would end nowhere
            raise
        if conversation_id != self.conversation_id:
            return  # the user has gone on to another one
        self.trashed = trashed
        self._show(conversation_id, branch)
        self._restore(conversation_id, draft, attachments)
        if self._position(message_id) is not None:
            self.match_requested.emit(message_id, query)

    def reopen(self) -> None:
        """Show the present conversation again, for a window that is new."""
        if self.conversation_id is None:
            self.begin()
        else:
            self._open(self.conversation_id)

    def save_draft(self, draft: Draft) -> None:
        """Keep what is typed but not sent, or the files that are attached to it."""
        self.pending_writes.save_draft(self.conversation_id, draft)

    def _restore(
        self, conversation_id: int | None, text: str, attachments: tuple[Attachment, ...]
    ) -> None:
        if conversation_id == self.conversation_id:
            newest = self.pending_writes.draft
            self.draft_restored.emit(
                newest(conversation_id, text), newest(conversation_id, attachments)
            )

    def close(self) -> None:
        """Save what there is before the store is closed."""
        self._answers.close()
        self.pending_writes.close()

    def _show(self, conversation_id: int | None, branch: Branch) -> None:
        if conversation_id != self.conversation_id:
            return  # the user has gone on to another one
        self.opening = False
        self.shown_branch = branch = [self._current(message) for message in branch]
        self.branch_shown.emit(conversation_id, branch)
        self.busy_changed.emit()

    def _show_changed(self, conversation_id: int, branch: Branch) -> None:
        self._show(conversation_id, branch)
        self.list_changed.emit()

    def _current(self, stored: ChatMessage) -> ChatMessage:
        """A stored message with what only the memory has of it."""
        if self._answers.is_queued(stored.id):
            return replace(stored, state=MessageState.QUEUED)
        message = self.pending_writes.shown(stored)
        return self.answer.over(message) if self.answer is not None else message

    # ---- what the user asks for -------------------------------------------------------------

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
        if not position or self._answers.storing:
            return
        old, question = self.shown_branch[position], self.shown_branch[position - 1].id
        if old.state in ("streaming", "queued"):
            return
        model = self.model_name()

        def begin(store: Store) -> QueuedAnswer:
            messages = store.messages
            if memory_start is not None:
                messages.set_memory_start(question, memory_start)
            if discardable(old) and not messages.has_replies(old.id):
                answer = messages.begin_again(old.id, model)
            else:
                answer = messages.begin_answer(old.conversation_id, question, model, old.sources)
            return QueuedAnswer(answer, fills_context=fills_context)

        self._answers.add(begin, old.conversation_id)

    def continue_answer(
        self, message_id: int, *, answers_now: bool = False, memory_start: int | None = None
    ) -> None:
        """Let an answer that was cut go on; `answers_now` ends its thinking first."""
        position = self._position(message_id)
        message = self.shown_branch[position] if position else None
        if message is None or not can_go_on(message) or self._answers.storing:
            return

        def begin(store: Store) -> QueuedAnswer:
            if memory_start is not None:
                store.messages.set_memory_start(message_id, memory_start)
            store.messages.reopen_answer(message_id)
            return QueuedAnswer(message, answers_now=answers_now)

        self._answers.add(begin, message.conversation_id)

    def withdraw(self, message_id: int) -> None:
        """Take an answer that waits out of the queue, with all that was asked below it.

        Questions that have no other answer become a text that is not sent yet.
        """
        position = self._position(message_id)
        below = self.shown_branch[position:] if position else []
        keys = {message.id for message in below}
        taken = self._answers.take(lambda each: each.id in keys)
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
        self._answers.give_back(conversation, text, files)

    async def change(self, conversation: int, change: Callable[[Store], Changed]) -> Changed:
        """Change messages in the store, and show them anew; returns what `change` returned."""
        changed, branch = await self._store.ask(
            lambda store: (change(store), store.messages.path(conversation))
        )
        self._show_changed(conversation, branch)
        return changed

    def change_branch(self, change: Callable[[Store], None]) -> None:
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

    @Slot()
    def stop(self) -> None:
        """End the answer of the conversation shown, or the preparation of its next turn."""
        self._answers.stop(self.conversation_id)
        self.stopped.emit()

    def stop_conversation(self, conversation_id: int) -> None:
        """End all answers of a conversation; texts that are there stay."""
        self._answers.stop_conversation(conversation_id)
        self.conversation_stopped.emit(conversation_id)

    def set_preparing(self, preparing: bool) -> None:
        """Say that the next turn is being computed, which `stop` ends, or no longer is."""
        self.preparing = preparing
        self.preparing_changed.emit()

    def _position(self, message_id: int) -> int | None:
        return next((i for i, m in enumerate(self.shown_branch) if m.id == message_id), None)

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
        shown, model = self.conversation_id, self.model_name()
        if self.opening or self._answers.storing:  # the end of the branch is not known yet
            self.give_back(shown, text, attachments)
            return
        self._is_stored_now = shown is None
        append = self.appending(text, parent, attachments, is_edit=is_edit)

        def begin(store: Store) -> QueuedAnswer:
            asked = append(store)
            return QueuedAnswer(
                store.messages.begin_answer(asked.conversation_id, asked.id, model, sources)
            )

        self._answers.add(begin, shown, text, attachments)

    @task
    async def give_back(
        self, conversation: int | None, text: str, attachments: tuple[Attachment, ...]
    ) -> None:
        """Keep a message that cannot be sent now as a draft, before one that is being read."""
        if self.opening:
            await self._store.ask(lambda _: None)
        self._answers.give_back(conversation, text, attachments)

    def appending(
        self,
        text: str,
        parent: int | None,
        attachments: tuple[Attachment, ...],
        *,
        is_edit: bool = False,
    ) -> Callable[[Store], ChatMessage]:
        """Return a function that stores a question, in a new conversation where none is shown."""
        shown, folder_id = self.conversation_id, self.new_chat_folder
        sampling, system_prompt = self.new_chat_defaults()
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

    @Slot(object, int, list)
    def _on_stored(self, before: int | None, stored: int, branch: Branch) -> None:
        if before is None and self._is_stored_now:  # else the user has left it
            self.conversation_id = stored
            self.pending_writes.move_draft_of_new_chat(stored)
        self._show_changed(stored, branch)

    # ---- how answers end --------------------------------------------------------------------

    @Slot(object, list)
    def _on_saved(self, finished: ChatMessage, branch: Branch) -> None:
        self._end(finished, branch)
        self.list_changed.emit()

    @Slot(object)
    def _on_kept(self, finished: ChatMessage) -> None:
        """The disk is full, say: the text stays in the view, and the user can go on."""
        self._end(finished, self.shown_branch)

    def _end(self, finished: ChatMessage, branch: Branch) -> None:
        if finished.conversation_id == self.conversation_id:
            branch = [self._current(message) for message in branch]
            message = next((m for m in branch if m.id == finished.id), None)
            if message is not None:  # else another branch is shown by now
                self.shown_branch = branch
                self.answer_finished.emit(message)
        self._answers.generate_next()
        self.busy_changed.emit()

    @Slot(object)
    def report_failure(self, error: Exception) -> None:
        """Tell the user what the store refused. Raises what is a bug of ours."""
        self.failed.emit(report_of(error))
