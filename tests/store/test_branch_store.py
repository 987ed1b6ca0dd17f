"""Branches are deleted and come back exactly, are changed by hand, and go into a new chat."""

import pytest

from r1desk.store import Attachment, ConversationSettings, Store

FILE = Attachment("a.csv", "x,y", 3)


@pytest.fixture
def key(store: Store) -> int:
    """Question, two answers (the first with a follow-up), the second shown."""
    conversation = store.conversations.create(ConversationSettings(system_prompt="Be short.")).id
    question = store.messages.append_user(conversation, "2+2?", None, [FILE])
    first = store.messages.begin_answer(conversation, question.id, "R1")
    store.messages.finish_answer(first.id, "4", "Two and two.", 3.0)
    more = store.messages.append_user(conversation, "Sure?", first.id)
    again = store.messages.begin_answer(conversation, more.id, "R1")
    store.messages.finish_answer(again.id, "Yes.")
    second = store.messages.begin_answer(conversation, question.id, "R1")
    store.messages.finish_answer(second.id, "Four")
    return conversation


def texts(store: Store, key: int) -> list[str]:
    return [m.content for m in store.messages.path(key)]


def everything(store: Store) -> list[list[tuple[object, ...]]]:
    return [
        store._db.execute("SELECT * FROM messages ORDER BY id"),
        store._db.execute("SELECT * FROM attachments ORDER BY id"),
        store._db.execute("SELECT id, head_message_id, title FROM conversations"),
    ]


@pytest.mark.parametrize(
    ("shown", "place", "left"),
    [
        (1, 1, ["2+2?", "4", "Sure?", "Yes."]),  # the other version takes its place
        (0, 1, ["2+2?", "Four"]),
        (1, 0, []),
    ],
)
def test_a_deleted_message_goes_with_all_below_it_and_comes_back(store, key, shown, place, left):
    versions = store.messages.siblings(store.messages.path(key)[-1].id)
    store.messages.select_branch(versions[shown])
    whole, before, found = everything(store), texts(store, key), store.search("Sure")
    deleted = store.branches.delete(store.messages.path(key)[place].id)
    assert texts(store, key) == left
    assert bool(store.search("Sure")) == ("Sure?" in left)
    store.branches.restore(deleted)
    assert (everything(store), texts(store, key)) == (whole, before)
    assert store.search("Sure") == found
    assert store.messages.path(key)[0].attachments == (FILE,)


def test_an_edited_answer_is_one_more_version(store: Store, key: int) -> None:
    old = store.messages.path(key)[-1]
    new = store.branches.add_edited(old.id, "4, of course")
    assert new.edited
    assert new.stats is None
    assert texts(store, key) == ["2+2?", "4, of course"]
    assert store.messages.get(old.id).content == "Four"
    assert len(store.messages.siblings(new.id)) == 3


def test_a_branch_goes_into_a_new_chat_with_its_settings(store: Store, key: int) -> None:
    answer = store.messages.path(key)[-1]
    new = store.branches.copy_to_new(answer.id, "2+2? (branch)")
    assert texts(store, new) == ["2+2?", "Four"]
    assert store.messages.path(new)[0].attachments == (FILE,)
    assert store.conversations.settings(new) == ConversationSettings("", "Be short.", None)
    assert store.conversations.get(new).title == "2+2? (branch)"
    assert texts(store, key) == ["2+2?", "Four"]


def test_a_question_becomes_the_draft_of_its_new_chat(store: Store, key: int) -> None:
    new = store.branches.copy_to_new(store.messages.path(key)[0].id, "t")
    assert texts(store, new) == []
    assert store.conversations.draft(new) == "2+2?"
    assert store.attachments.drafts(new) == (FILE,)
