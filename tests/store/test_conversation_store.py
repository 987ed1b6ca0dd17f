"""Conversations, folders, drafts and values come back as they were kept."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1.core.errors import EngineDied
from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.core.messages import Role
from deepseek_r1.core.settings import SamplingSettings
from r1desk.store import ChatMessage, ConversationSettings, FolderInfo, MessageState, Store


def ask(store: Store, text: str, answer: str = "") -> int:
    """A conversation of one question and one finished answer."""
    conversation = store.conversations.create().id
    question = store.messages.append_user(conversation, text, None)
    store.messages.finish_answer(store.messages.begin_answer(conversation, question.id).id, answer)
    return conversation


def test_the_latest_conversation_comes_first_and_renaming_moves_none(store: Store) -> None:
    first, second = ask(store, "first"), ask(store, "second")
    store.conversations.rename(first, "Renamed")
    assert [c.id for c in store.conversations.infos()] == [second, first]
    store.messages.append_user(first, "more", store.messages.path(first)[-1].id)
    assert [c.id for c in store.conversations.infos()] == [first, second]
    store.conversations.set_pinned([second], True)
    assert [(c.id, c.pinned) for c in store.conversations.infos()] == [
        (second, True),
        (first, False),
    ]
    store.conversations.set_pinned([second], False)
    assert [c.id for c in store.conversations.infos()] == [first, second]


def test_a_conversation_is_unread_until_it_was_seen(store: Store) -> None:
    first, second = ask(store, "Apples?"), ask(store, "Pears?")
    store.conversations.set_unread(first, True)
    assert {info.id: info.unread for info in store.conversations.infos()} == {
        first: True,
        second: False,
    }
    store.conversations.set_unread(first, False)
    assert not store.conversations.get(first).unread


def test_folders_have_conversations_and_settings_and_come_back_whole(database: Path) -> None:
    settings = ConversationSettings("/m/r1.gguf", "Be short.", SamplingSettings(temperature=0.2))
    with Store(database) as store:
        key, other = store.folders.create("  Garden\n"), store.folders.create("House")
        first, second = ask(store, "Roses?"), ask(store, "Roof?")
        store.folders.move([first, second], key)
        store.folders.move([second], None)
        store.folders.save(FolderInfo(key, "Plants", settings))
        store.folders.set_folded(other, True)
    with Store(database) as store:
        plants, house = store.folders.infos()
        assert (plants, house.folded) == (FolderInfo(key, "Plants", settings), True)
        assert store.conversations.get(first).folder_id == key
        assert store.conversations.get(second).folder_id is None
        deleted = store.folders.delete(plants)
        assert store.conversations.get(first).folder_id is None
        store.folders.restore(deleted)
        assert plants in store.folders.infos()
        assert store.conversations.get(first).folder_id == key
        assert (store.folders.named("Plants"), len(store.folders.infos())) == (key, 2)


def test_title_and_preview_follow_the_text_until_a_title_is_given(store: Store) -> None:
    conversation = ask(store, "What is a tree?", "A tree\nis a graph.")
    info = store.conversations.get(conversation)
    assert (info.title, info.preview) == ("What is a tree?", "A tree is a graph.")
    store.messages.append_user(conversation, "What is a forest?", None)
    assert store.conversations.get(conversation).title == "What is a forest?"
    store.conversations.rename(conversation, " Trees ")
    store.messages.append_user(conversation, "What is a bush?", None)
    assert store.conversations.get(conversation).title == "Trees"
    store.conversations.rename(conversation, "")
    assert store.conversations.get(conversation).title == "What is a bush?"


def test_trash_hides_restore_brings_back_and_purge_deletes(store: Store, database: Path) -> None:
    kept, gone = ask(store, "keep this"), ask(store, "xyzzyq")
    store.conversations.trash(kept)
    store.conversations.trash(gone)
    assert store.conversations.infos() == []
    assert {c.id for c in store.conversations.infos(trashed=True)} == {kept, gone}
    assert store.search("keep") == []
    store.conversations.restore(kept)
    assert store.conversations.purge_trash(older_than_days=30) == 0
    assert store.conversations.purge_trash(older_than_days=0) == 1
    assert [c.id for c in store.conversations.infos()] == [kept]
    with pytest.raises(LookupError):
        store.conversations.get(gone)
    assert b"xyzzyq" not in database.read_bytes()
    assert b"zzy" not in database.read_bytes()


def test_purging_by_hand_touches_only_what_is_in_the_trash(store: Store) -> None:
    kept, trashed = store.conversations.create().id, store.conversations.create().id
    store.conversations.trash(trashed)
    assert store.conversations.purge([kept, trashed]) == 1
    assert [info.id for info in store.conversations.infos()] == [kept]
    assert store.conversations.infos(trashed=True) == []


def test_a_conversation_whose_answer_is_being_written_is_not_purged(store: Store) -> None:
    conversation = store.conversations.create().id
    answer = store.messages.begin_answer(
        conversation, store.messages.append_user(conversation, "x", None).id
    )
    store.conversations.trash(conversation)
    time.sleep(0.01)
    assert store.conversations.purge_trash(older_than_days=0) == 0
    store.messages.finish_answer(answer.id, "done")
    assert store.conversations.purge_trash(older_than_days=0) == 1


def test_drafts_settings_and_remembered_values_survive_a_restart(database: Path) -> None:
    wanted = ConversationSettings("/m.gguf", "Be brief.\0", SamplingSettings(temperature=0.1))
    with Store(database) as store:
        conversation = store.conversations.create().id
        store.conversations.save_draft(None, "half a\0 thought")
        store.conversations.save_draft(conversation, "another \ud800")
        store.conversations.save_settings(conversation, wanted)
        store.key_value.set("recent models", ["/a.gguf", {"size": 1}])
    with Store(database) as store:
        assert store.conversations.draft(None) == "half a\u2400 thought"
        assert store.conversations.draft(conversation) == "another \ufffd"
        assert store.conversations.settings(conversation).sampling == wanted.sampling
        assert store.conversations.settings(conversation).system_prompt == "Be brief.\u2400"
        assert store.conversations.get(conversation).model_path == "/m.gguf"
        assert store.key_value.get("recent models") == ["/a.gguf", {"size": 1}]
        store.key_value.set("recent models", None)
        assert store.key_value.get("recent models", "none") == "none"


def test_an_answer_comes_back_as_it_was_finished(store: Store) -> None:
    conversation = store.conversations.create().id
    question = store.messages.append_user(conversation, "q", None)
    answer = store.messages.begin_answer(conversation, question.id, "R1")
    assert answer.state is MessageState.STREAMING
    stats = GenerationStats(finish_reason=FinishReason.ERROR, completion_tokens=7)
    report = EngineDied(how="SIGSEGV", detail="x").report()
    done = store.messages.finish_answer(
        answer.id, "a\0b", "hm \ud800", 2.5, stats, MessageState.FAILED, report
    )
    assert store.messages.path(conversation)[-1] == done
    assert (done.content, done.thinking, done.thinking_s) == ("a\u2400b", "hm \ufffd", 2.5)
    assert (done.stats, done.error, done.model_name) == (stats, report, "R1")
    assert not store.messages.save_progress(answer.id, "late", "")
    assert store.messages.get(answer.id).content == "a\u2400b"


def test_a_transaction_is_whole_or_absent_also_when_nested(store: Store) -> None:
    def interrupted() -> None:
        with store.transaction():
            with store.transaction():
                ask(store, "dropped")
                store.key_value.set("k", 1)
            store.messages.append_user(999, "x", None)

    with pytest.raises(LookupError):
        interrupted()
    assert store.conversations.infos() == []
    assert store.key_value.get("k") is None


def test_a_branch_of_thousands_is_deleted_brought_back_and_deleted_for_good(store: Store) -> None:
    conversation = store.conversations.create().id
    last = None
    with store.transaction():
        for number in range(1500):
            message = ChatMessage(0, Role.USER, str(number), conversation_id=conversation)
            last = store.messages.insert(replace(message, parent_id=last), show=False)
        store.messages.end_branch(conversation, last)
    deleted = store.branches.delete(store.messages.path(conversation)[1].id)
    assert len(store.messages.path(conversation)) == 1
    store.branches.restore(deleted)
    assert [m.content for m in store.messages.path(conversation)] == list(map(str, range(1500)))
    store.conversations.trash(conversation)
    assert store.conversations.purge([conversation]) == 1
    assert store._db.first("SELECT count(*) FROM messages") == (0,)


def test_a_message_cannot_hang_below_one_of_another_conversation(store: Store) -> None:
    other = ask(store, "other")
    conversation = store.conversations.create().id
    with pytest.raises(LookupError):
        store.messages.append_user(conversation, "x", store.messages.path(other)[0].id)
    assert store.messages.path(conversation) == []


def test_a_value_that_is_no_json_any_more_is_its_default(store: Store) -> None:
    store.key_value.set("k", 1)
    store._db.execute("UPDATE remembered SET value_json = '{'")
    assert store.key_value.get("k", "default") == "default"
