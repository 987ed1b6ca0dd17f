from __future__ import annotations

import time
from pathlib import Path

import pytest

from deepseek_r1.core.errors import EngineDied
from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.core.settings import SamplingSettings
from r1desk.store import ConversationSettings, MessageState, Store


def ask(store: Store, text: str, answer: str = "") -> int:
    """A conversation of one question and one finished answer."""
    conversation = store.create_conversation().id
    question = store.append_user(conversation, text, None)
    store.finish_answer(store.begin_answer(conversation, question.id).id, answer)
    return conversation


def test_the_latest_conversation_comes_first_and_renaming_moves_none(store: Store) -> None:
    first, second = ask(store, "first"), ask(store, "second")
    store.rename(first, "Renamed")
    assert [c.id for c in store.conversations()] == [second, first]
    store.append_user(first, "more", store.path(first)[-1].id)
    assert [c.id for c in store.conversations()] == [first, second]


def test_title_and_preview_follow_the_text_until_a_title_is_given(store: Store) -> None:
    conversation = ask(store, "What is a tree?", "A tree\nis a graph.")
    info = store.conversation(conversation)
    assert (info.title, info.preview) == ("What is a tree?", "A tree is a graph.")
    store.append_user(conversation, "What is a forest?", None)
    assert store.conversation(conversation).title == "What is a forest?"
    store.rename(conversation, " Trees ")
    store.append_user(conversation, "What is a bush?", None)
    assert store.conversation(conversation).title == "Trees"
    store.rename(conversation, "")
    assert store.conversation(conversation).title == "What is a bush?"


def test_trash_hides_restore_brings_back_and_purge_deletes(store: Store, database: Path) -> None:
    kept, gone = ask(store, "keep this"), ask(store, "xyzzyq")
    store.trash(kept)
    store.trash(gone)
    assert store.conversations() == []
    assert {c.id for c in store.conversations(trashed=True)} == {kept, gone}
    assert store.search("keep") == []
    store.restore(kept)
    assert store.purge_trash(older_than_days=30) == 0
    assert store.purge_trash(older_than_days=0) == 1
    assert [c.id for c in store.conversations()] == [kept]
    with pytest.raises(LookupError):
        store.conversation(gone)
    assert b"xyzzyq" not in database.read_bytes()
    assert b"zzy" not in database.read_bytes()


def test_purging_by_hand_touches_only_what_is_in_the_trash(store: Store) -> None:
    kept, trashed = store.create_conversation().id, store.create_conversation().id
    store.trash(trashed)
    assert store.purge([kept, trashed]) == 1
    assert [info.id for info in store.conversations()] == [kept]
    assert store.conversations(trashed=True) == []


def test_a_conversation_whose_answer_is_being_written_is_not_purged(store: Store) -> None:
    conversation = store.create_conversation().id
    answer = store.begin_answer(conversation, store.append_user(conversation, "x", None).id)
    store.trash(conversation)
    time.sleep(0.01)
    assert store.purge_trash(older_than_days=0) == 0
    store.finish_answer(answer.id, "done")
    assert store.purge_trash(older_than_days=0) == 1


def test_drafts_settings_and_remembered_values_survive_a_restart(database: Path) -> None:
    wanted = ConversationSettings("/m.gguf", "Be brief.\0", SamplingSettings(temperature=0.1))
    with Store(database) as store:
        conversation = store.create_conversation().id
        store.save_draft(None, "half a\0 thought")
        store.save_draft(conversation, "another \ud800")
        store.save_settings(conversation, wanted)
        store.remember("recent models", ["/a.gguf", {"size": 1}])
    with Store(database) as store:
        assert store.draft(None) == "half a\u2400 thought"
        assert store.draft(conversation) == "another \ufffd"
        assert store.settings(conversation).sampling == wanted.sampling
        assert store.settings(conversation).system_prompt == "Be brief.\u2400"
        assert store.conversation(conversation).model_path == "/m.gguf"
        assert store.recall("recent models") == ["/a.gguf", {"size": 1}]
        store.remember("recent models", None)
        assert store.recall("recent models", "none") == "none"


def test_an_answer_comes_back_as_it_was_finished(store: Store) -> None:
    conversation = store.create_conversation().id
    question = store.append_user(conversation, "q", None)
    answer = store.begin_answer(conversation, question.id, "R1")
    assert answer.state is MessageState.STREAMING
    stats = GenerationStats(finish_reason=FinishReason.ERROR, completion_tokens=7)
    report = EngineDied(how="SIGSEGV", detail="x").report()
    done = store.finish_answer(
        answer.id, "a\0b", "hm \ud800", 2.5, stats, MessageState.FAILED, report
    )
    assert store.path(conversation)[-1] == done
    assert (done.content, done.thinking, done.thinking_s) == ("a\u2400b", "hm \ufffd", 2.5)
    assert (done.stats, done.error, done.model_name) == (stats, report, "R1")
    assert not store.save_progress(answer.id, "late", "")
    assert store.message(answer.id).content == "a\u2400b"


def test_a_transaction_is_whole_or_absent_also_when_nested(store: Store) -> None:
    def interrupted() -> None:
        with store.transaction():
            ask(store, "dropped")
            store.append_user(999, "x", None)

    with pytest.raises(LookupError):
        interrupted()
    assert store.conversations() == []
    with store.transaction():
        ask(store, "kept")
        with pytest.raises(LookupError):
            interrupted()
    assert [c.title for c in store.conversations()] == ["kept"]


def test_a_message_cannot_hang_below_one_of_another_conversation(store: Store) -> None:
    other = ask(store, "other")
    conversation = store.create_conversation().id
    with pytest.raises(LookupError):
        store.append_user(conversation, "x", store.path(other)[0].id)
    assert store.path(conversation) == []
