"""Messages are deleted and changed by hand, and each change can be undone, the newest first."""

import pytest

from chat.chat_stack import ChatStack
from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.host.protocol import GenerateRequest
from r1desk.chat.answers.message_actions import MOST_CHANGES

TEXTS = ["Apples?", "Red.", "Pears?", "Green."]


class Changes:
    """The actions on the messages of a chat, and their history."""

    def __init__(self, stack: ChatStack) -> None:
        self.stack, self.history, self.actions = stack, stack.history, stack.actions
        self.undone: list[str] = []
        self.history.undone.connect(lambda change: self.undone.append(change.text))

    def delete(self, position: int) -> None:
        """Delete a message of the branch shown, and all below it."""
        self.stack.do(self.actions.delete, self.stack.shown[position].id)

    def edit(self, position: int, text: str) -> None:
        """Change an answer by hand."""
        self.stack.do(self.actions.edit_answer, self.stack.shown[position].id, text)

    def undo(self) -> None:
        self.stack.do(self.history.undo)


@pytest.fixture
def changes(stack: ChatStack) -> Changes:
    stack.exchange(*TEXTS[:2])
    stack.exchange(*TEXTS[2:])
    return Changes(stack)


def test_one_change_after_the_other_is_undone(changes: Changes, stack: ChatStack) -> None:
    changes.delete(3)
    assert stack.texts == TEXTS[:3]
    changes.edit(1, "Red. Or yellow.")
    assert stack.texts == ["Apples?", "Red. Or yellow."]
    assert (stack.shown[1].edited, stack.shown[1].sibling_count) == (True, 2)
    changes.undo()
    assert stack.texts == TEXTS[:3]
    assert stack.shown[1].sibling_count == 1
    changes.undo()
    assert stack.texts == TEXTS
    assert changes.undone[-1] == "The message was deleted."
    changes.undo()  # nothing is left
    assert stack.texts == TEXTS
    assert len(changes.undone) == 2


def test_undoing_an_edit_keeps_what_was_written_below_it(changes, stack):
    changes.edit(1, "Red. Or yellow.")
    edited = stack.shown[1].id
    stack.read(lambda store: store.messages.append_user(1, "Why?", edited))
    changes.undo()
    assert stack.texts == TEXTS
    assert (stack.shown[1].sibling_index, stack.shown[1].sibling_count) == (0, 2)
    stack.do(stack.chat.select_sibling, stack.shown[1].id, 1)
    assert stack.texts == ["Apples?", "Red. Or yellow.", "Why?"]


def test_undo_shows_the_conversation_in_which_it_changes_something(changes, stack):
    changes.delete(1)
    stack.open(None)
    changes.undo()
    assert stack.chat.conversation_id == 1
    assert stack.texts == TEXTS


def test_what_was_deleted_below_an_answer_that_failed_comes_back_once_it_was_tried_again(
    changes: Changes, stack: ChatStack
) -> None:
    changes.edit(3, "Green. Or yellow.")
    stack.send("Plums?")
    stack.engine.fail(EngineFailed(detail="no"))
    stack.settle()
    failed = stack.shown[5]
    changes.edit(5, "Violet.")
    stack.do(stack.chat.select_sibling, stack.shown[5].id, -1)
    stack.exchange("Peaches?", "Orange.")
    changes.delete(6)
    stack.do(stack.chat.regenerate, failed.id)
    stack.answer("Blue.")
    shown = [*TEXTS[:3], "Green. Or yellow.", "Plums?", "Blue."]
    assert (stack.texts, stack.shown[5].error, stack.shown[5].sibling_count) == (shown, None, 2)
    changes.undo()
    assert stack.texts == [*shown, "Peaches?", "Orange."]
    changes.undo()
    assert stack.shown[5].sibling_count == 1
    changes.undo()
    assert stack.texts == TEXTS


def test_an_undo_that_can_never_work_does_not_hold_up_those_before_it(changes, stack):
    changes.delete(3)

    async def never() -> None:
        raise LookupError("no message 9")

    changes.history.add("Never.", 1, never)
    with pytest.raises(LookupError):
        changes.undo()
    changes.undo()
    assert stack.texts == TEXTS


def test_nothing_changes_while_an_answer_is_written_there(changes, stack):
    changes.delete(3)
    stack.send("Plums?")
    changes.delete(0)
    changes.undo()
    assert stack.texts == [*TEXTS[:3], "Plums?", ""]
    stack.answer("Blue.")
    changes.undo()
    assert stack.texts == TEXTS


def test_nothing_is_deleted_where_an_answer_waits_for_its_turn(changes, stack):
    stack.open(None)
    stack.send("Write a story.")
    stack.open(1)
    stack.send("Plums?")
    changes.delete(4)
    changes.delete(0)
    stack.do(changes.actions.branch_off, stack.shown[4].id)
    assert (stack.texts, stack.chat.conversation_id) == ([*TEXTS, "Plums?", ""], 1)
    stack.answer("Once upon a time.")
    assert stack.engine.asked.messages[-1].content == "Plums?"
    stack.answer("Blue.")
    changes.delete(4)
    assert stack.texts == TEXTS


def test_what_is_deleted_while_it_is_stored_is_not_asked_and_holds_up_nothing(changes, stack):
    stack.open(None)
    stack.send("Write a story.")
    stack.open(1)
    asked = len(stack.engine.of_kind(GenerateRequest))
    stack.chat.send("Plums?")
    changes.delete(2)
    assert stack.texts == TEXTS[:2]
    stack.answer("Once upon a time.")
    assert len(stack.engine.of_kind(GenerateRequest)) == asked
    assert not stack.chat.pending_writes.waiting
    stack.exchange("Peaches?", "Orange.")
    assert stack.texts == [*TEXTS[:2], "Peaches?", "Orange."]


def test_what_was_deleted_for_good_or_long_ago_is_forgotten(changes, stack):
    changes.delete(3)
    changes.history.forget([1])
    changes.undo()
    assert changes.undone == []

    async def undo() -> None:
        pass

    for number in range(MOST_CHANGES + 1):
        changes.history.add(str(number), 1, undo)
    for _ in range(MOST_CHANGES + 1):
        changes.history.undo()
    assert (changes.undone[0], changes.undone[-1]) == (str(MOST_CHANGES), "1")
