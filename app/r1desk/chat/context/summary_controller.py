"""Begins a new branch with the model's summary of a conversation, when the user asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.answer_generation import QueuedAnswer
from r1desk.chat.answers.controller import ChatController
from r1desk.store import ChatMessage, MessageState, Store


@dataclass(slots=True)
class _PendingSummary:
    """A summary being written, and the question that follows it."""

    question: ChatMessage
    message_id: int = 0  # 0 until it is stored


class SummaryController(QObject):
    """One summary at a time. Main thread.

    The new branch hangs below the last answer: a request for a summary, the summary, and the
    question again. The model reads it from the request on; the old branch stays as it is.
    """

    question_returned = Signal(str)  # there is no summary: the question goes back to the composer

    def __init__(self, chat: ChatController) -> None:
        super().__init__()
        self._chat = chat
        self._pending: _PendingSummary | None = None
        chat.pending_writes.saved.connect(self._on_saved)

    def start(
        self,
        question: ChatMessage,
        parent_id: int,
        left_out: frozenset[int],
        most_tokens: int,
        sampling: SamplingSettings,
    ) -> None:
        """Have the branch that ends with `parent_id` summarised, then ask `question` again.

        `left_out` are messages for which there is no room. The summary has `most_tokens` at most.
        """
        conversation = self._chat.conversation_id
        if conversation is None:
            return
        pending = self._pending = _PendingSummary(question)
        request = summary_request()
        chosen = sampling.model_copy(update={"max_tokens": most_tokens, "thinking_budget": 0})
        name = self._chat.model_name

        def begin(store: Store) -> QueuedAnswer:
            asked = store.messages.append_user(conversation, request, parent_id)
            summary = store.messages.begin_answer(conversation, asked.id, name)
            pending.message_id = summary.id
            return QueuedAnswer(summary, left_out=left_out, sampling=chosen, fills_context=True)

        self._chat.start_answer(begin, conversation)

    @Slot(object, list)
    def _on_saved(self, finished: ChatMessage, _branch: list[ChatMessage]) -> None:
        pending = self._pending
        if pending is None or finished.id != pending.message_id:
            return
        self._pending = None
        question = pending.question
        if finished.state is not MessageState.COMPLETE or not finished.content.strip():
            if finished.conversation_id == self._chat.conversation_id:
                self.question_returned.emit(question.content)
            return
        name, conversation = self._chat.model_name, finished.conversation_id

        def begin(store: Store) -> QueuedAnswer:
            store.messages.set_memory_start(finished.id, finished.id)
            asked = store.messages.append_user(
                conversation, question.content, finished.id, question.attachments
            )
            return QueuedAnswer(store.messages.begin_answer(conversation, asked.id, name))

        self._chat.start_answer(begin, conversation)


def summary_request() -> str:
    """The message that asks for a summary; it is part of the new branch and can be read there."""
    return tr(
        "Summarise our conversation so far in at most 200 words, so that it can go on from the "
        "summary alone: facts, names, numbers, decisions and open questions."
    )
