"""Conversations leave as a document and come back with all their branches."""

import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from bench.bench_import import measure, write_chain
from deepseek_r1.core.settings import SamplingSettings
from r1desk.store import ConversationSettings, MessageState, Store, export_reader
from r1desk.store.archive import archived_conversation, export_json, export_markdown
from r1desk.store.errors import ArchiveNotRead, ArchiveNotWritten, ArchiveUnreadable, StoreFull
from r1desk.store.imports import (
    SLICE_MESSAGES,
    ImportedConversations,
    import_export,
    import_prompts,
)
from support.foreign_exports import import_here, import_into

Result = TypeVar("Result")
ImportOf = Callable[[object], tuple[int, ...]]


@pytest.fixture
def import_of(store: Store, tmp_path: Path) -> ImportOf:
    """Import a document, given as bytes or as what JSON is made of; returns the new ids."""

    def imported(document: object) -> tuple[int, ...]:
        file = tmp_path / "import.json"
        file.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return import_into(store, file).ids

    return imported


def a_conversation_with_branches(store: Store) -> int:
    settings = ConversationSettings("/m/r1.gguf", "Be short.", SamplingSettings(seed=7))
    key = store.conversations.create(settings).id
    question = store.messages.append_user(key, "2+2?", None)
    first = store.messages.begin_answer(key, question.id, "R1")
    store.messages.finish_answer(first.id, "4", "Two and two.", 3.0)
    second = store.messages.begin_answer(key, question.id, "R1")
    store.messages.finish_answer(second.id, "Four", state=MessageState.STOPPED)
    store.messages.append_user(key, "And 3+3?", first.id)
    return key


def tree(store: Store, key: int) -> list[tuple[object, ...]]:
    nodes = store.messages.all_of(key)
    order = {node.id: number for number, node in enumerate(nodes)}
    return [
        (order.get(n.parent_id), n.role, n.content, n.thinking, n.thinking_s, n.state, n.model_name)
        for n in nodes
    ]


def a_chain(count: int, text: str = "Hi.") -> dict[str, object]:
    messages = [
        {"number": n, "parent": n - 1 if n else None, "role": "user", "content": text}
        for n in range(count)
    ]
    return {"conversations": [{"title": "Chain", "messages": messages}]}


def test_a_long_conversation_is_imported_in_a_time_that_grows_with_its_length(store, import_of):
    def processor_s(count: int) -> float:
        started = time.process_time()
        (key,) = import_of(a_chain(count))
        taken = time.process_time() - started
        assert len(store.messages.path(key)) == count
        return taken

    assert processor_s(4000) < 30 * processor_s(400)  # a walk of the chain for each took 100 times


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A document of five slices."""
    (tmp_path / "chain.json").write_text(json.dumps(a_chain(5 * SLICE_MESSAGES)))
    return tmp_path / "chain.json"


def test_an_import_is_stored_in_slices_and_seen_at_its_end(store: Store, chain: Path) -> None:
    jobs = 0

    def run(work: Callable[[Store], Result]) -> Result:
        nonlocal jobs
        jobs += 1
        assert store.conversations.infos() == store.conversations.infos(trashed=True) == []
        return work(store)

    import_here(run, chain)
    assert jobs > 5
    assert [info.title for info in store.conversations.infos()] == ["Chain"]


@pytest.mark.parametrize("is_killed", [False, True])
def test_an_import_that_ends_early_leaves_nothing(store, chain, is_killed):
    jobs = 0

    def run(work: Callable[[Store], Result]) -> Result:
        nonlocal jobs
        jobs += 1
        if jobs == 4 or (jobs > 4 and is_killed):
            raise StoreFull(path="/")
        return work(store)

    store.conversations.create(hidden=True)  # by another import, at the same time
    with pytest.raises(StoreFull):
        import_here(run, chain)
    assert is_killed or store._db.first("SELECT count(*) FROM conversations") == (1,)
    left = store._db.first("SELECT count(*) FROM messages")
    assert (left > (0,)) is is_killed
    store.conversations.purge_trash()  # as at each start
    assert store._db.first("SELECT count(*) FROM messages") == (0,)


def test_an_import_needs_little_memory_and_lets_others_in(tmp_path: Path) -> None:
    """`bench/bench_import.py` in small."""
    write_chain(tmp_path / "chain.json", 5000, "x" * 2000)
    found = measure(tmp_path / "chain.json")
    assert found["file_mib"] > 9
    assert found["memory_more_mib"] < 100


@pytest.mark.skipif(sys.platform == "win32", reason="no such devices")
def test_an_import_of_a_device_or_a_pipe_is_refused_at_once(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (Path("/dev/zero"), tmp_path / "pipe.json"):
        with pytest.raises(ArchiveUnreadable, match="another kind of file"):
            import_into(store, path)


def test_an_exported_conversation_comes_back_whole(store: Store, tmp_path: Path) -> None:
    key = a_conversation_with_branches(store)
    store.folders.move([key], store.folders.create("Sums"))
    store.conversations.trash(a_conversation_with_branches(store))  # is not among all
    assert export_json(store, tmp_path / "all.json") == 1
    store.conversations.trash(key)
    (again,) = import_into(store, tmp_path / "all.json").ids
    store.conversations.restore(key)
    assert again != key
    assert tree(store, again) == tree(store, key)
    shown = [m.content for m in store.messages.path(again)]
    assert shown == [m.content for m in store.messages.path(key)] == ["2+2?", "4", "And 3+3?"]
    assert store.conversations.settings(again) == ConversationSettings(
        "/m/r1.gguf", "Be short.", SamplingSettings(seed=7)
    )
    before, after = store.conversations.get(key), store.conversations.get(again)
    assert (after.title, after.updated_at) == (before.title, before.updated_at)
    assert (after.folder_id, len(store.folders.infos())) == (before.folder_id, 1)
    assert {hit.conversation_id for hit in store.search("Four")} == {key, again}


def test_a_second_import_adds_only_what_is_new(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    key = a_conversation_with_branches(store)
    export_json(store, file)
    store.conversations.trash(key)
    (first,), nothing, _ = dataclasses.astuple(import_into(store, file))
    assert nothing == 0
    assert import_into(store, file) == ImportedConversations((), already_here=1)
    store.messages.append_user(first, "And 4+4?", store.messages.path(first)[-1].id)
    (again,) = import_into(store, file).ids
    assert tree(store, again) == tree(store, key)


def test_markdown_has_the_shown_branch_with_its_thinking(store: Store, tmp_path: Path) -> None:
    key = a_conversation_with_branches(store)
    export_markdown(store, tmp_path / "one.md", [key])
    assert (tmp_path / "one.md").read_text(encoding="utf-8") == (
        "# 2+2?\n\n## User\n\n2+2?\n\n## Assistant (R1)\n\n> Two and two.\n\n4\n\n"
        "## User\n\nAnd 3+3?\n"
    )


GOOD = {"number": 1, "role": "user", "content": "x"}


def archived(*messages: object, **more: object) -> dict[str, object]:
    return {"conversations": [{"messages": messages, **more}]}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (b"", "another kind of file"),
        (b"{", "another kind of file"),
        (b"[1, 2]", "another kind of file"),
        (b"# Notes", "another kind of file"),
        (b'{"version": 2, "theme": "dark"}', "another kind of file"),
        (b'{"conversations": []} {}', "another kind of file"),
        ({"format": "other", "version": 1, "conversations": []}, "another kind of file"),
        ({"version": 9, "conversations": []}, "another version of R1 Desk"),
        ({"conversations": [{"messages": 1}]}, "conversations/0/messages: "),
        ({"conversations": [{"title": [[]] * 20_000}]}, "conversations/0/title: "),
        (a_chain(1, "x" * (export_reader.MAX_MESSAGE_CHARACTERS + 1)), "MiB in one message"),
        (archived(GOOD, GOOD), "message 1 has no place"),
        (archived({**GOOD, "parent": 1}), "message 1 has no place"),
        (archived({**GOOD, "parent": 7}), "message 1 has no place"),
        (archived({**GOOD, "role": "tool"}), "messages/0/role"),
        (archived({**GOOD, "created_at": 1e300}), "messages/0/created_at"),
        (archived({**GOOD, "state": "streaming"}), "messages/0/state"),
        (archived(GOOD, shown=5), "the message shown is missing"),
    ],
)
def test_what_is_no_export_or_does_not_fit_together_changes_nothing(
    store, import_of, document, found
):
    with pytest.raises(ArchiveUnreadable, match=found):
        import_of(document)
    assert store.conversations.infos() == []


def test_files_that_cannot_be_read_or_written_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ArchiveNotRead):
        import_export(lambda work: work(store), tmp_path / "missing.json", threading.Event())
    with pytest.raises(ArchiveNotWritten):
        export_json(store, tmp_path / "no" / "folder.json")


def test_an_archive_of_an_unfinished_answer_has_it_stopped(store: Store) -> None:
    key = store.conversations.create().id
    question = store.messages.append_user(key, "q", None)
    store.messages.begin_answer(key, question.id)
    assert archived_conversation(store, key).messages[1].state == "stopped"


HEAD = '{"format": "r1desk-prompts", "version": 1, "prompts": ['


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "r1desk-prompts", "version": 2, "prompts": []}',
        HEAD + '{"name": "", "content": "x"}]}',
        HEAD + '{"name": "x", "content": "y", "more": ""}]}',
        HEAD + ",".join(501 * ['{"name": "x", "content": "y"}']) + "]}",
        HEAD + "]," + "z" * 2**22,
    ],
    ids=range(7),
)
def test_a_damaged_file_of_prompts_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ArchiveUnreadable) as refused:
        import_prompts(file)
    assert len(refused.value.report().text()) < 400
