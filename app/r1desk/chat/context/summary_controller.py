"""Begins a new branch with the model's summary of a conversation, when the user asks for it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.streaming_answer import QueuedAnswer
from r1desk.store import ChatMessage, MessageState, Store


class SummaryController(QObject):
    """One summary at a time. Main thread.

    The new branch hangs below the last answer: a request for a summary, the summary, and the
    question again. The model reads it from the request on; the old branch stays as it is. Where
    there is no summary, the question goes back to the composer.
    """

    def __init__(self, chat: ChatController) -> None:
        super().__init__()
        self._chat = chat
        self._questions: dict[int, ChatMessage] = {}  # by the summary that each of them follows
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
        conversation, name = question.conversation_id, self._chat.model_name()
        request = summary_request()
        chosen = sampling.model_copy(update={"max_tokens": most_tokens, "thinking_budget": 0})

        def begin(store: Store) -> QueuedAnswer:
            asked = store.messages.append_user(conversation, request, parent_id)
            summary = store.messages.begin_answer(conversation, asked.id, name)
            self._questions = {summary.id: question}
            return QueuedAnswer(summary, left_out=left_out, sampling=chosen, fills_context=True)

        self._chat.add_answer(begin, conversation)

    @Slot(object, list)
    def _on_saved(self, finished: ChatMessage, _branch: list[ChatMessage]) -> None:
        question = self._questions.pop(finished.id, None)
        if question is None:
            return
        name, conversation = self._chat.model_name(), finished.conversation_id
        if finished.state is not MessageState.COMPLETE or not finished.content.strip():
            if conversation == self._chat.conversation_id:
                self._chat.unsent_restored.emit(question.content, question.attachments)
            return

        def begin(store: Store) -> QueuedAnswer:
            store.messages.set_memory_start(finished.id, finished.id)
            asked = store.messages.append_user(
                conversation, question.content, finished.id, question.attachments
            )
            return QueuedAnswer(store.messages.begin_answer(conversation, asked.id, name))

        self._chat.add_answer(begin, conversation)


def summary_request() -> str:
    """The message that asks for a summary; it is part of the new branch and can be read there."""
    return tr(
        "Summarise our conversation so far in at most 200 words, so that it can go on from the "
        "summary alone: facts, names, numbers, decisions and open questions."
    )
