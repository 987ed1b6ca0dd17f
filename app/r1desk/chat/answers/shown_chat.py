"""The conversation on the screen: opened, shown as the store and the memory have it, left."""

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.answer_queue import AnswerQueue, Branch
from r1desk.chat.answers.pending_writes import Draft, PendingWrites
from r1desk.chat.answers.streaming_answer import StreamingAnswer
from r1desk.chat.values.answering_model import AnsweringModel, Defaults
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.tasks import Tasks, newest_task, report_of
from r1desk.store import Attachment, ChatMessage, MessageState, Store
from r1desk.store.store_bridge import StoreBridge


class ShownChat(QObject):
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

    def __init__(
        self, engine: EngineBridge, store: StoreBridge, models: AnsweringModel, defaults: Defaults
    ) -> None:
        """`defaults` are for conversations that were stored without settings of their own."""
        super().__init__()
        self._store, self._models, self._defaults = store, models, defaults
        self.tasks = Tasks(self, self.report_failure)
        # Sampling and system prompt of a conversation that is stored just now.
        self.new_chat_values: Callable[[], tuple[SamplingSettings, str]] = self._default_values
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
        self.answers = AnswerQueue(engine, self.pending_writes, models, defaults, self)
        self.answers.storing_changed.connect(self.busy_changed)

    def _default_values(self) -> tuple[SamplingSettings, str]:
        return self._defaults.sampling, self._defaults.system_prompt

    @property
    def answer(self) -> StreamingAnswer | None:
        """The answer being written."""
        return self.answers.answer

    @property
    def busy(self) -> bool:
        """True while an answer is being written or a message being stored."""
        return self.answer is not None or bool(self.answers.storing)

    @property
    def waiting(self) -> frozenset[int]:
        """The conversations of which an answer waits for its turn."""
        return self.answers.waiting

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
            branch, left, draft, attachments, trashed = await self._store.ask(read)
        except R1Error:
            self.begin()  # what is typed next would end nowhere
            raise
        self.trashed = trashed
        self.show(conversation_id, branch)
        self._restore(conversation_id, draft, attachments)
        if self._position(message_id) is not None:
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
        """Save what there is before the store is closed."""
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

    def _position(self, message_id: int) -> int | None:
        return next((i for i, m in enumerate(self.shown_branch) if m.id == message_id), None)

    def show_stored(self, before: int | None, stored: int, branch: Branch) -> None:
        """Show a branch that was stored, of a conversation that may be new."""
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
        self.answers.generate_next()
        self.busy_changed.emit()

    @Slot(object)
    def report_failure(self, error: Exception) -> None:
        """Tell the user what the store refused. Raises what is a bug of ours."""
        self.pending_writes.report_refused(report_of(error), kept=False)
