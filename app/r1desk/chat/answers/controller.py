"""The conversation on the screen: shown, asked, answered again, stored.

The rule that everything here follows: what the user wrote is on disk before it goes to the model.
"""

from dataclasses import replace
from typing import TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.documents.index import DocumentIndex
from r1desk.chat.answers.answer_queue import AnswerQueue, Branch
from r1desk.chat.answers.pending_writes import Draft, PendingWrites
from r1desk.chat.answers.streaming_answer import QueuedAnswer, StreamingAnswer
from r1desk.chat.values.prompt import can_go_on, discardable
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import AnsweringModel
from r1desk.platform.tasks import Tasks, newest_task, report_of, task
from r1desk.preferences import Preferences
from r1desk.store import (
    AnswerSources,
    Attachment,
    ChatMessage,
    ConversationSettings,
    MessageState,
    Store,
    StoreWork,
)
from r1desk.store.store_bridge import StoreBridge

Changed = TypeVar("Changed")


class ChatController(QObject):
    """Owns the conversation on the screen and the answers. Main thread."""

    branch_shown = Signal(object, list)  # conversation or None, list of ChatMessage
    version_opened = Signal(int)  # a search led to another branch; the message at the end of before
    match_requested = Signal(int, str)  # message, query: scroll to it and mark the query's words
    answer_finished = Signal(object)  # ChatMessage, of the conversation shown
    list_changed = Signal()
    leaving = Signal()  # another conversation is about to be shown
    busy_changed = Signal()
    preparing_changed = Signal()
    draft_restored = Signal(str, tuple)  # text, attachments
    comparison_wanted = Signal(object)  # the question, a ChatMessage; id 0: not stored yet
    conversation_stopped = Signal(int)  # all of its answers are to end
    stopped = Signal()  # the user wants nothing to be computed for the conversation shown

    def __init__(
        self,
        engine: EngineBridge,
        store: StoreBridge,
        models: AnsweringModel,
        preferences: Preferences,
        index: DocumentIndex,
    ) -> None:
        super().__init__()
        self.engine, self.store, self.models = engine, store, models
        self.preferences = preferences
        self.index = index  # of documents; any thread but the main one
        self.tasks = Tasks(self, self.report_failure)
        # Sampling and system prompt that were chosen for the next new conversation.
        self.new_chat_settings: tuple[SamplingSettings, str] | None = None
        self.conversation_id: int | None = None
        self.new_chat_folder: int | None = None  # where the next new conversation is stored
        self.shown_branch: Branch = []
        self.trashed = False  # the conversation shown is in the trash
        self._is_stored_now = False  # the conversation shown is new, and its question sent
        self.opening = False  # until the branch of the conversation is read
        self.preparing = False  # its next turn is being computed, before it is asked for
        self.reads_documents = False  # or documents of it, which the user asked for
        store.failed.connect(self.report_failure)
        self.pending_writes = PendingWrites(store)
        self.pending_writes.saved.connect(self._on_saved)
        self.pending_writes.kept.connect(self._on_kept)
        self.answers = AnswerQueue(self)
        self.answers.storing_changed.connect(self.busy_changed)

    @property
    def answer(self) -> StreamingAnswer | None:
        return self.answers.answer

    @property
    def busy(self) -> bool:
        """True while an answer is being written or a message being stored."""
        return self.answer is not None or bool(self.answers.storing)

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
        self.tasks.end(self._open, self._read_draft)
        self.opening, self._is_stored_now = True, False
        self.leaving.emit()

    def begin(self) -> None:
        """Show an empty conversation; what is typed by now stays."""
        self.conversation_id = None
        self.trashed = False
        self.show(None, [])
        self.tasks.end(self._open, self._read_draft)
        self._read_draft()

    @newest_task
    async def _read_draft(self) -> None:
        text, attachments = await self.store.ask(
            lambda store: (store.conversations.draft(None), store.attachments.drafts(None))
        )
        self._restore(None, text, attachments)

    def open(self, conversation_id: int, message_id: int = 0, query: str = "") -> None:
        """Show a stored conversation at a message; 0 stands for none, which shows its end."""
        self._leave()
        self._open(conversation_id, message_id, query)

    def open_new(self, conversation_id: int) -> None:
        self.list_changed.emit()
        self.open(conversation_id)

    @newest_task
    async def _open(self, conversation_id: int, message_id: int = 0, query: str = "") -> None:
        def read(store: Store) -> tuple[Branch, int, str, tuple[Attachment, ...], bool]:
            branch, left = store.messages.path(conversation_id), 0
            if message_id and store.writable and all(m.id != message_id for m in branch):
                left, branch = branch[-1].id, store.messages.select_branch(message_id)
            draft = store.conversations.draft(conversation_id)
            trashed = store.conversations.get(conversation_id).trashed_at is not None
            return branch, left, draft, store.attachments.drafts(conversation_id), trashed

        self.conversation_id = conversation_id
        self.opening = True
        try:
            branch, left, draft, attachments, trashed = await self.store.ask(read)
        except R1Error:
            self.begin()  # what is typed next would end nowhere
            raise
        self.trashed = trashed
        self.show(conversation_id, branch)
        self._restore(conversation_id, draft, attachments)
        if self.position(message_id) is not None:
            self.match_requested.emit(message_id, query)
        if left:
            self.version_opened.emit(left)

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
        self.answers.close()
        self.pending_writes.close()

    def show(self, conversation_id: int | None, branch: Branch) -> None:
        """Show another branch of the conversation, unless another one is shown by now."""
        if conversation_id != self.conversation_id:
            return  # the user has gone on to another one
        self.opening = False
        self.shown_branch = branch = [self._current(message) for message in branch]
        self.branch_shown.emit(conversation_id, branch)
        self.busy_changed.emit()

    def _show_changed(self, conversation_id: int, branch: Branch) -> None:
        self.show(conversation_id, branch)
        self.list_changed.emit()

    def _current(self, stored: ChatMessage) -> ChatMessage:
        """A stored message with what only the memory has of it."""
        if self.answers.is_queued(stored.id):
            return replace(stored, state=MessageState.QUEUED)
        message = self.pending_writes.shown(stored)
        return self.answer.over(message) if self.answer is not None else message

    def set_preparing(self, preparing: bool, *, documents: bool = False) -> None:
        """Say that the next turn is being computed, which `stop` ends, or no longer is."""
        self.preparing, self.reads_documents = preparing, preparing and documents
        self.preparing_changed.emit()

    def position(self, message_id: int) -> int | None:
        return next((i for i, m in enumerate(self.shown_branch) if m.id == message_id), None)

    def show_stored(self, before: int | None, stored: int, branch: Branch) -> None:
        """Show a branch that was stored, of a conversation that may be new."""
        if before is None and self._is_stored_now:  # else the user has left it
            self.conversation_id = stored
            self.pending_writes.move_draft_of_new_chat(stored)
        self._show_changed(stored, branch)

    # ---- what the user asks for -------------------------------------------------------------

    def send(
        self,
        text: str,
        attachments: tuple[Attachment, ...] = (),
        sources: AnswerSources | None = None,
        *,
        edited: int = 0,
    ) -> None:
        """Store the user's message, then ask the model; during an answer it is queued.

        `sources` are passages of documents that the answer is given. In the place of an `edited`
        message, whose files it has, it begins a new branch; the old one is kept.
        """
        position = self.position(edited) if edited else len(self.shown_branch)
        if position is None:
            return
        attachments = self.shown_branch[position].attachments if edited else attachments
        if not text.strip() and not attachments:
            return
        shown, model = self.conversation_id, self.models.name
        if self.opening or self.answers.storing:  # the end of the branch is not known yet
            self.give_back(shown, text, attachments)
            return
        self._is_stored_now = shown is None
        parent = self.shown_branch[position - 1].id if position else None
        append = self.appending(text, parent, attachments, is_edit=bool(edited))

        def begin(store: Store) -> QueuedAnswer:
            asked = append(store)
            return QueuedAnswer(
                store.messages.begin_answer(asked.conversation_id, asked.id, model, sources)
            )

        self.tasks.start(self.answers.add(begin, shown, text, attachments))

    def regenerate(
        self, message_id: int, *, fills_context: bool = False, memory_start: int | None = None
    ) -> None:
        """Write another answer to the same message; the old one is kept if it has any text.

        `fills_context`: also where less than the reserve is free for it. `memory_start`: the model
        reads from this message on.
        """
        position = self.position(message_id)
        if not position or self.answers.storing:
            return
        old, question = self.shown_branch[position], self.shown_branch[position - 1].id
        if old.state in ("streaming", "queued"):
            return
        model = self.models.name

        def begin(store: Store) -> QueuedAnswer:
            messages = store.messages
            if memory_start is not None:
                messages.set_memory_start(question, memory_start)
            if discardable(old) and not messages.has_replies(old.id):
                answer = messages.begin_again(old.id, model)
            else:
                answer = messages.begin_answer(old.conversation_id, question, model, old.sources)
            return QueuedAnswer(answer, fills_context=fills_context)

        self.tasks.start(self.answers.add(begin, old.conversation_id))

    def continue_answer(
        self, message_id: int, *, answers_now: bool = False, memory_start: int | None = None
    ) -> None:
        """Let an answer that was cut go on; `answers_now` ends its thinking first."""
        position = self.position(message_id)
        message = self.shown_branch[position] if position else None
        if message is None or not can_go_on(message) or self.answers.storing:
            return

        def begin(store: Store) -> QueuedAnswer:
            if memory_start is not None:
                store.messages.set_memory_start(message_id, memory_start)
            store.messages.reopen_answer(message_id)
            return QueuedAnswer(message, answers_now=answers_now)

        self.tasks.start(self.answers.add(begin, message.conversation_id))

    async def change(self, conversation: int, change: StoreWork[Changed]) -> Changed:
        """Change messages in the store, and show them anew; returns what `change` returned."""
        changed, branch = await self.store.ask(
            lambda store: (change(store), store.messages.path(conversation))
        )
        self._show_changed(conversation, branch)
        return changed

    def change_branch(self, change: StoreWork[None]) -> None:
        """Change the messages shown, unless one of them is being written."""
        if self.conversation_id is not None and not self.busy_here:
            self.tasks.start(self.change(self.conversation_id, change))

    def select_sibling(self, message_id: int, delta: int = 0) -> None:
        """Show the branch of the next or previous version of a message, or through itself."""

        def select(store: Store) -> None:
            siblings = store.messages.siblings(message_id)
            position = siblings.index(message_id) + delta
            if 0 <= position < len(siblings):
                store.messages.select_branch(siblings[position])

        self.change_branch(select)

    @Slot()
    def stop(self) -> None:
        """End the answer of the conversation shown, or the preparation of its next turn."""
        self.answers.stop(self.conversation_id)
        self.stopped.emit()

    def stop_conversation(self, conversation_id: int) -> None:
        self.answers.stop_conversation(conversation_id)
        self.conversation_stopped.emit(conversation_id)

    @task
    async def give_back(
        self, conversation: int | None, text: str, attachments: tuple[Attachment, ...]
    ) -> None:
        """Keep a message that cannot be sent now as a draft, before one that is being read."""
        if self.opening:
            await self.store.ask(lambda _: None)
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
        defaults = self.preferences.sampling, self.preferences.system_prompt
        sampling, system_prompt = self.new_chat_settings or defaults
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
        self.answers.generate_next()
        self.busy_changed.emit()

    @Slot(object)
    def report_failure(self, error: Exception) -> None:
        """Tell the user what the store refused. Raises what is a bug of ours."""
        self.pending_writes.report_refused(report_of(error), kept=False)
