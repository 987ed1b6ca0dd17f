"""Answers that were asked for while another one is being written."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from deepseek_r1.core.settings import SamplingSettings
from r1desk.store import ChatMessage


@dataclass(frozen=True, slots=True)
class QueuedAnswer:
    """A stored answer whose generation has not begun: `message` is empty, or goes on.

    `left_out` are messages of its branch that its prompt does not have. `sampling` stands in place
    of the conversation's. `fills_context`: it is generated even where less than the reserve is
    free. `answers_now`: its thinking is ended at once.
    """

    message: ChatMessage
    left_out: frozenset[int] = frozenset()
    sampling: SamplingSettings | None = None
    fills_context: bool = False
    answers_now: bool = False


class AnswerQueue:
    """First in, first out; main thread only."""

    def __init__(self) -> None:
        self._waiting: deque[QueuedAnswer] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, message_id: int) -> bool:
        return any(queued.message.id == message_id for queued in self._waiting)

    def add(self, queued: QueuedAnswer) -> None:
        """Put an answer at the end."""
        self._waiting.append(queued)

    def pop(self) -> QueuedAnswer | None:
        """Remove and return the answer to generate next; None where the queue is empty."""
        return self._waiting.popleft() if self._waiting else None

    def remove_conversation(self, conversation_id: int) -> list[QueuedAnswer]:
        """Remove and return all answers of a conversation."""
        removed = [q for q in self._waiting if q.message.conversation_id == conversation_id]
        self._waiting = deque(q for q in self._waiting if q not in removed)
        return removed

    @property
    def conversations(self) -> frozenset[int]:
        """The conversations that have an answer in the queue."""
        return frozenset(queued.message.conversation_id for queued in self._waiting)
