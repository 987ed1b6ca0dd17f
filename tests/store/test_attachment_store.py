"""Files stay with the message or the draft they were attached to, and go with it."""

from pathlib import Path

import pytest

from r1desk.store import Attachment, Store
from r1desk.store.archive import export_json
from support.foreign_exports import import_into

NOTES = Attachment("notes.md", "# Notes\n\n中文", 7)
TABLE = Attachment("table.csv", "a,b\n1,2\n", 6)


@pytest.fixture
def key(store: Store) -> int:
    conversation = store.conversations.create().id
    question = store.messages.append_user(conversation, "Sum it up", None, [NOTES, TABLE])
    answer = store.messages.begin_answer(conversation, question.id)
    store.messages.finish_answer(answer.id, "Done.")
    return conversation


def test_attachments_are_read_with_their_message(store: Store, key: int) -> None:
    question, answer = store.messages.path(key)
    assert question.attachments == (NOTES, TABLE)
    assert answer.attachments == ()
    assert store.messages.get(question.id).attachments == (NOTES, TABLE)


def test_a_file_alone_gives_the_title(store: Store) -> None:
    conversation = store.conversations.create().id
    store.messages.append_user(conversation, "", None, [NOTES])
    assert store.conversations.get(conversation).title == "notes.md"


def test_drafts_of_a_chat_and_of_the_new_chat_are_kept_apart(store: Store, key: int) -> None:
    store.attachments.save_drafts(None, [TABLE])
    store.attachments.save_drafts(key, [NOTES, TABLE])
    assert store.attachments.drafts(None) == (TABLE,)
    assert store.attachments.drafts(key) == (NOTES, TABLE)
    store.attachments.save_drafts(key, [])
    assert store.attachments.drafts(key) == ()
    assert store.messages.path(key)[0].attachments == (NOTES, TABLE)


def test_attachments_are_deleted_for_good_with_their_conversation(store: Store, key: int) -> None:
    store.attachments.save_drafts(key, [TABLE])
    store.conversations.trash(key)
    store.conversations.purge([key])
    assert store._db.execute("SELECT count(*) FROM attachments") == [(0,)]


def test_an_archive_has_the_attachments(store: Store, key: int, tmp_path: Path) -> None:
    export_json(store, tmp_path / "all.json")
    store.conversations.trash(key)
    (again,) = import_into(store, tmp_path / "all.json").ids
    assert store.messages.path(again)[0].attachments == (NOTES, TABLE)
