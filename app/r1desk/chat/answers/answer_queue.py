"""Stores each message with its empty answer; the answers are generated one after the other."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_
from deepseek_r1.core.settings import SamplingSettings, answer_reserve
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.host.protocol import GenerateRequest
from r1desk.chat.answers.pending_writes import PendingWrites
from r1desk.chat.answers.streaming_answer import SAVE_EVERY_MS, QueuedAnswer, StreamingAnswer
from r1desk.chat.values.prompt import document_text, partial_answer, prompt_messages
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest
from r1desk.features import AnsweringModel
from r1desk.platform.tasks import Tasks, newest_task, report_of, task
from r1desk.preferences import Preferences
from r1desk.store import (
    Attachment,
    ChatMessage,
    ConversationSettings,
    MessageState,
    Store,
    StoreWork,
)

Branch = list[ChatMessage]


class MessageNotSent(R1Error):
    """The message still waited for its turn at the end."""

    what = N_("Not sent.")


@dataclass(eq=False, slots=True)
class _Storing:
    """A message on its way to the disk; `conversation` is None for one that is made with it."""

    conversation: int | None
    stop_wanted: bool = False


class Shown(Protocol):
    """The conversation on the screen, which follows its answers."""

    engine: EngineBridge
    models: AnsweringModel
    preferences: Preferences
    pending_writes: PendingWrites
    index: DocumentIndex  # any thread but the main one
    conversation_id: int | None

    def show(self, conversation_id: int | None, branch: Branch) -> None:
        """Show the branch of an answer whose turn has come."""

    def show_stored(self, before: int | None, stored: int, branch: Branch) -> None:
        """Show a branch that was stored; `before` is None for one of a conversation made with it.

        The answer at its end is being generated, or in the queue.
        """


class AnswerQueue(QObject):
    """Nothing is sent to the model before it is stored. Main thread."""

    streamed = Signal(int, object)  # message and Event, of the conversation shown only
    storing_changed = Signal()  # a message is being stored, or no longer
    # text and attachments of the conversation shown that were not stored: before its draft
    given_back = Signal(str, tuple)

    def __init__(self, chat: Shown) -> None:
        super().__init__()
        self._chat, self._engine, self._models = chat, chat.engine, chat.models
        self._pending_writes = chat.pending_writes
        self.tasks = Tasks(self)
        self._queue: deque[QueuedAnswer] = deque()
        self._held = False
        self.storing: list[_Storing] = []  # where their branches end is not known
        self.answer: StreamingAnswer | None = None  # the one being written
        self._save_timer = QTimer(self, interval=SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self._save)

    def is_queued(self, message_id: int) -> bool:
        """True for an answer whose generation has not begun."""
        return any(queued.message.id == message_id for queued in self._queue)

    async def add(
        self,
        begin: StoreWork[QueuedAnswer],
        conversation: int | None,
        text: str = "",
        attachments: tuple[Attachment, ...] = (),
    ) -> ChatMessage | None:
        """Let `begin` store an answer, and generate it now or when its turn comes; returns it.

        `conversation` is None for one that `begin` makes. The message that it stores is given back
        where the disk refuses it, and None is returned.
        """
        storing, model_path = _Storing(conversation), str(self._models.next_path or "")
        self.storing.append(storing)
        self.storing_changed.emit()

        def work(store: Store) -> tuple[QueuedAnswer, Branch, ConversationSettings, str]:
            with store.transaction():  # one for all: each waits for the disk once, before the model
                answer = begin(store)
                key = answer.message.conversation_id
                stored = store.conversations.settings(key)
                settings = replace(stored, model_path=model_path)
                if settings != stored:
                    store.conversations.save_settings(key, settings)
                text = document_text(self._chat.index, answer.message.sources, strict=True)
            return answer, store.messages.path(key), settings, text

        try:
            answer, branch, settings, before = await self._pending_writes.store_after(work)
        except Exception as error:  # noqa: BLE001 - of a bug too the message stays
            self.storing.remove(storing)
            self.storing_changed.emit()
            self.give_back(conversation, text, attachments)
            kept = bool(text or attachments)
            self._pending_writes.report_refused(report_of(error), kept=kept)
            return None
        self.storing.remove(storing)
        if self._held or self.answer is not None or self._queue:
            self._queue.append(answer)
        else:  # before the view draws: the engine reads meanwhile
            self._expect(answer).stop_wanted = storing.stop_wanted
            self._generate(answer, branch[:-1], settings, before)
        self._chat.show_stored(conversation, answer.message.conversation_id, branch)
        self.storing_changed.emit()
        return answer.message

    def give_back(
        self, conversation: int | None, text: str, attachments: tuple[Attachment, ...]
    ) -> None:
        if text or attachments:
            self._pending_writes.keep_unsent(conversation, text, attachments)
            if conversation == self._chat.conversation_id:
                self.given_back.emit(text, attachments)

    def hold(self, held: bool) -> None:
        """Let answers wait while other models use the memory; afterwards generate them."""
        self._held = held
        self.generate_next()

    @task
    async def generate_next(self) -> None:
        """Begin the answer that has waited longest, if none is being written."""
        if self._held or self.answer is not None or not self._queue:
            return
        queued = self._queue.popleft()
        self._expect(queued)
        message, conversation = queued.message, queued.message.conversation_id

        def read(store: Store) -> tuple[Branch, ConversationSettings, str, Branch]:
            settings = store.conversations.settings(conversation)
            store.messages.get(message.id)  # raises LookupError where it was deleted
            before = store.messages.path_to(message.id)[:-1]
            text = document_text(self._chat.index, message.sources, strict=True)
            return before, settings, text, store.messages.path(conversation)

        try:
            before, settings, text, branch = await self._pending_writes.store_after(read)
        except Exception as error:  # noqa: BLE001 - a bug is raised by `report_of`
            self._discard()
            report = None if isinstance(error, LookupError) else report_of(error)
            failed = replace(message, state=MessageState.FAILED, error=report)
            self._pending_writes.finish(failed)
        else:
            self._generate(queued, before, settings, text)
            self._chat.show(conversation, branch)

    @property
    def waiting(self) -> frozenset[int]:
        return frozenset(queued.message.conversation_id for queued in self._queue)

    def take(self, keys: Collection[int]) -> list[ChatMessage]:
        """Take these out of the queue, and return them as they were before they were wanted."""
        taken = [queued for queued in self._queue if queued.message.id in keys]
        self._queue = deque(queued for queued in self._queue if queued not in taken)
        return [queued.message for queued in taken]

    def stop_conversation(self, conversation_id: int) -> None:
        """End all answers of a conversation, those in the queue too; texts that are there stay."""
        asked = (queued.message for queued in self._queue)
        keys = {each.id for each in asked if each.conversation_id == conversation_id}
        for message in self.take(keys):
            self._pending_writes.finish(_ended_in_queue(message))
        self.stop(conversation_id)

    # ---- the answer being written

    def _expect(self, queued: QueuedAnswer) -> StreamingAnswer:
        """From here on this message, which is stored, is the answer being written."""
        self.answer = answer = StreamingAnswer.of(queued)
        self._save_timer.start()
        return answer

    def _generate(
        self,
        queued: QueuedAnswer,
        before: Branch,
        settings: ConversationSettings,
        documents: str,
    ) -> None:
        if (answer := self.answer) is None:
            return  # closed meanwhile
        sampling, system_prompt = effective(settings, self._chat.preferences)
        sampling = queued.sampling or sampling
        if queued.answers_now:
            sampling = sampling.model_copy(update={"thinking_budget": 0})
        read = [message for message in before if message.id not in queued.left_out]
        reserve = answer_reserve(self._models.context_length, sampling.max_tokens)
        self._models.ensure_loading()  # the question waits for it
        answer.request = self._engine.submit(
            GenerateRequest,
            messages=prompt_messages(read, system_prompt, queued.message.sources, documents),
            sampling=sampling,
            reserve=0 if queued.fills_context else reserve,
            continues=partial_answer(queued.message),
        )
        if answer.stop_wanted:
            answer.request.cancel()
        self._write(answer, answer.request)

    @newest_task
    async def _write(self, answer: StreamingAnswer, request: EngineRequest) -> None:
        """Take what the engine says until the answer's end. `PendingWrites` says what is stored."""
        ended: ChatMessage | None = None
        try:
            async for event in request:
                if (ended := answer.take(event)) is not None:
                    break
                if answer.conversation_id == self._chat.conversation_id:
                    self.streamed.emit(answer.message_id, answer.as_shown(event))
        except R1Error as refused:
            ended = answer.ended(MessageState.FAILED, error=refused.report())
        if ended is not None:
            self._discard()
            self._pending_writes.finish(ended)

    def answer_now(self) -> None:
        if self.answer is not None and self.answer.request is not None:
            self.answer.request.end_thinking()

    def stop(self, conversation: int | None) -> None:
        """End the answer of a conversation, also one that is not stored yet; its text stays."""
        for storing in self.storing:
            storing.stop_wanted |= storing.conversation == conversation
        if self.answer is not None and self.answer.conversation_id == conversation:
            self.answer.stop_wanted = True
            if self.answer.request is not None:
                self.answer.request.cancel()

    @Slot()
    def stop_writing(self) -> None:
        """End the answer that is being written, in whatever conversation."""
        if self.answer is not None:
            self.stop(self.answer.conversation_id)

    @Slot()
    def _save(self) -> None:
        if self.answer is not None:
            self.answer.save(self._pending_writes)

    def close(self) -> None:
        """Save what there is for the last time. What the engine says afterwards finds no answer.

        At the next start the store counts such an answer as stopped; one that waits is not sent.
        """
        self._save()
        self._discard()
        for message in self.take({queued.message.id for queued in self._queue}):
            self._pending_writes.finish(_ended_in_queue(message))

    def _discard(self) -> None:
        self._save_timer.stop()
        self.tasks.end(self._write)
        self.answer = None


def _ended_in_queue(message: ChatMessage) -> ChatMessage:
    """An answer whose turn never came; one that was to be continued stays as it was."""
    error = None if message.content or message.thinking else MessageNotSent().report()
    return replace(message, state=MessageState.STOPPED, error=error)


def effective(
    settings: ConversationSettings, defaults: Preferences
) -> tuple[SamplingSettings, str]:
    """The sampling and the system prompt of a conversation.

    One that was stored without sampling, as earlier versions did, follows the defaults.
    """
    if settings.sampling is None:
        return defaults.sampling, settings.system_prompt or defaults.system_prompt
    return settings.sampling, settings.system_prompt
