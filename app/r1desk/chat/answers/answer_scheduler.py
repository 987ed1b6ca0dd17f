"""Generates one answer at a time; the others wait in a queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.answer_generation import AnswerGeneration, QueuedAnswer
from r1desk.chat.answers.pending_writes import PendingWrites, write_answer
from r1desk.chat.values.message import partial_answer
from r1desk.chat.values.prompt import answer_reserve, prompt_messages
from r1desk.store import ChatMessage, ConversationSettings, MessageState, Store
from r1desk.store.store_bridge import StoreBridge, report_of

Defaults = Callable[[], tuple[SamplingSettings, str]]  # sampling and system prompt


class AnswerScheduler(QObject):
    """Hands stored, empty answers to the engine, in the order in which they were asked for."""

    begun = Signal(int, list)  # conversation and its branch: an answer of the queue has its turn
    model_wanted = Signal()  # a question waits for a model

    def __init__(
        self,
        generation: AnswerGeneration,
        store: StoreBridge,
        pending_writes: PendingWrites,
        defaults: Defaults,
        context_length: Callable[[], int],
    ) -> None:
        """`defaults` are for conversations that were stored without settings of their own.

        `context_length` is that of the model that answers next, in tokens.
        """
        super().__init__(generation)
        self._generation = generation
        self._store = store
        self._pending_writes = pending_writes
        self._defaults = defaults
        self._context_length = context_length
        self._queue: deque[QueuedAnswer] = deque()

    @property
    def conversations(self) -> frozenset[int]:
        """The conversations that have an answer in the queue."""
        return frozenset(queued.message.conversation_id for queued in self._queue)

    def is_queued(self, message_id: int) -> bool:
        """True for an answer whose generation has not begun."""
        return any(queued.message.id == message_id for queued in self._queue)

    def submit(
        self,
        answer: QueuedAnswer,
        before: Sequence[ChatMessage],
        settings: ConversationSettings,
    ) -> None:
        """Generate an answer to the messages before it, now or when its turn comes."""
        if self._generation.answer is not None or self._queue:
            self._queue.append(answer)
        else:
            self._generate(answer, before, settings)

    def generate_next(self) -> None:
        """Begin the answer that has waited longest, if none is being written."""
        if self._generation.answer is not None or not self._queue:
            return
        queued = self._queue.popleft()
        self._generation.expect(queued)
        message, conversation = queued.message, queued.message.conversation_id
        unsaved = self._pending_writes.unsaved_answers()

        def read(
            store: Store,
        ) -> tuple[list[ChatMessage], ConversationSettings, list[ChatMessage]]:
            for answer in unsaved:
                write_answer(store, answer)
            settings = store.conversations.settings(conversation)
            before = store.messages.path_to(message.id)[:-1]
            return before, settings, store.messages.path(conversation)

        def loaded(
            result: tuple[list[ChatMessage], ConversationSettings, list[ChatMessage]],
        ) -> None:
            before, settings, branch = result
            self._pending_writes.forget_answers(unsaved)
            self._generate(queued, before, settings)
            self.begun.emit(conversation, branch)

        def refused(error: Exception) -> None:
            self._generation.discard()
            self._finish_unwritten(message, MessageState.FAILED, report_of(error))

        self._store.call(read, loaded, refused)

    def stop_conversation(self, conversation_id: int) -> None:
        """End all answers of a conversation, those in the queue too."""
        waiting = list(self._queue)
        self._queue = deque(q for q in waiting if q.message.conversation_id != conversation_id)
        for queued in waiting:
            if queued not in self._queue:
                self._finish_unwritten(queued.message, MessageState.STOPPED, None)
        answer = self._generation.answer
        if answer is not None and answer.conversation_id == conversation_id:
            self._generation.stop()

    def _generate(
        self,
        answer: QueuedAnswer,
        before: Sequence[ChatMessage],
        settings: ConversationSettings,
    ) -> None:
        sampling, system_prompt = effective(settings, self._defaults)
        sampling = answer.sampling or sampling
        if answer.answers_now:
            sampling = sampling.model_copy(update={"thinking_budget": 0})
        read = [message for message in before if message.id not in answer.left_out]
        reserve = answer_reserve(self._context_length(), sampling)
        self._generation.expect(answer)
        self.model_wanted.emit()
        self._generation.ask(
            prompt_messages(read, system_prompt),
            sampling,
            reserve=0 if answer.fills_context else reserve,
            continues=partial_answer(answer.message),
        )

    def _finish_unwritten(
        self, message: ChatMessage, state: MessageState, report: ErrorReport | None
    ) -> None:
        """Store that an answer of the queue was never begun; the text that it continues stays."""
        self._pending_writes.finish(replace(message, state=state, error=report))


def effective(settings: ConversationSettings, defaults: Defaults) -> tuple[SamplingSettings, str]:
    """The sampling and the system prompt of a conversation.

    One that was stored without sampling, as earlier versions did, follows the defaults.
    """
    if settings.sampling is None:
        sampling, system_prompt = defaults()
        return sampling, settings.system_prompt or system_prompt
    return settings.sampling, settings.system_prompt
