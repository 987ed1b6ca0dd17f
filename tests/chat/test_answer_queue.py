"""Answers wait in the order in which they were asked for."""

from __future__ import annotations

from r1desk.chat.answer_queue import AnswerQueue, QueuedAnswer

A, B, C = QueuedAnswer(1, 10), QueuedAnswer(2, 20), QueuedAnswer(1, 11)


def filled() -> AnswerQueue:
    queue = AnswerQueue()
    for answer in (A, B, C):
        queue.add(answer)
    return queue


def test_the_first_to_come_is_the_first_to_go() -> None:
    queue = filled()
    assert [queue.pop(), queue.pop(), queue.pop(), queue.pop()] == [A, B, C, None]


def test_a_conversation_can_leave_the_queue() -> None:
    queue = filled()
    assert queue.remove_conversation(1) == [A, C]
    assert queue.conversations == {2}
    assert 20 in queue
    assert 10 not in queue
    assert len(queue) == 1
