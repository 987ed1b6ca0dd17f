"""Exports of other programs become conversations of ours; what cannot is counted or refused."""

import json
import threading
import zipfile
from pathlib import Path

import pytest

from r1desk.store import Store
from r1desk.store.archive import export_json, markdown_of
from r1desk.store.errors import ArchiveUnreadable, ImportStopped
from r1desk.store.foreign_chats import Omitted
from r1desk.store.imports import ImportedConversations, import_export
from support.foreign_exports import (
    ANSWERS,
    BEGAN,
    QUESTIONS,
    chatgpt_chat,
    import_into,
    lm_studio_chat,
    open_webui_chat,
    write_chatgpt,
    write_jan,
    write_lm_studio,
)


def import_by_process(store: Store, path: Path) -> ImportedConversations:
    return import_export(lambda work: work(store), path, threading.Event())


def shown(store: Store, key: int) -> list[tuple[object, ...]]:
    return [(m.content, m.thinking, m.thinking_s, m.model_name) for m in store.messages.path(key)]


def folder_of(store: Store, key: int) -> str:
    folder = store.conversations.get(key).folder_id
    return next(each.name for each in store.folders.infos() if each.id == folder)


def versions(store: Store, key: int, text: str) -> list[str]:
    nodes = store.messages.all_of(key)
    parent = next(node.parent_id for node in nodes if node.content == text)
    return [node.content for node in nodes if node.parent_id == parent]


def test_chatgpts_zip_comes_over_with_branches_thinking_and_instructions(store, tmp_path):
    chats = [chatgpt_chat(0), chatgpt_chat(1, turns=0)]
    found = import_by_process(store, write_chatgpt(tmp_path / "export.zip", chats, in_each=1))
    first, second = found.ids
    assert found.left_out == {Omitted.FILES: 2, Omitted.TOOLS: 2}
    info = store.conversations.get(first)
    assert (info.title, info.created_at, info.updated_at) == ("Sky 天空 0", BEGAN, BEGAN + 60)
    assert store.conversations.settings(first).system_prompt == "About me.\n\nBe short."
    thinking = "Rayleigh\n\nThink of scattering."
    assert shown(store, first)[:2] == [
        (QUESTIONS[0], "", 0.0, ""),
        (ANSWERS[0], thinking, 8.0, "gpt-5-thinking"),
    ]
    assert len(shown(store, first)) == 4
    assert versions(store, first, ANSWERS[0]) == [ANSWERS[0], "Because."]
    assert shown(store, second)[-1][0] == ANSWERS[1]
    again = import_by_process(store, tmp_path / "export.zip")
    assert (again.ids, again.already_here) == ((), 2)


def test_open_webuis_export_comes_over_with_two_models_side_by_side(store, tmp_path):
    (tmp_path / "chat-export-1.json").write_text(json.dumps([open_webui_chat()]))
    found = import_into(store, tmp_path / "chat-export-1.json")
    (key,) = found.ids
    assert found.left_out == {Omitted.FILES: 1, Omitted.TOOLS: 1}
    assert store.conversations.settings(key).system_prompt == "简短回答。"
    assert shown(store, key) == [
        (QUESTIONS[1], "", 0.0, ""),
        (ANSWERS[1], "Is 1 < 2?\nYes.", 13.0, "deepseek-r1:7b"),
    ]
    assert versions(store, key, ANSWERS[1]) == [ANSWERS[1], "因为散射。"]
    (file,) = store.messages.path(key)[0].attachments
    assert (file.name, file.content) == ("notes.txt", "Ein Text.")


def test_lm_studios_folder_comes_over_with_its_versions(store: Store, tmp_path: Path) -> None:
    folder = write_lm_studio(tmp_path / "conversations")
    (folder / "broken.conversation.json").write_text('{"name": "x", "messages": [')
    found = import_by_process(store, folder)
    (key,) = found.ids
    assert found.left_out == {Omitted.FILES: 1, Omitted.TOOLS: 1, Omitted.DAMAGED: 1}
    assert store.conversations.settings(key).system_prompt == "Be short."
    assert shown(store, key) == [
        (QUESTIONS[0], "", 0.0, ""),
        (ANSWERS[0], "Think of scattering.", 19.35, "deepseek-r1-distill-qwen-7b"),
        ("Thanks.", "", 0.0, ""),
    ]
    assert versions(store, key, ANSWERS[0]) == ["Because.", ANSWERS[0]]
    assert folder_of(store, key) == "Physics"
    assert {node.created_at for node in store.messages.all_of(key)} == {BEGAN}


@pytest.mark.parametrize("packed", [False, True])
def test_jans_folder_comes_over_and_as_a_zip(store: Store, tmp_path: Path, packed: bool) -> None:
    source = folder = write_jan(tmp_path / "data")
    if packed:
        source = tmp_path / "jan.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in folder.rglob("*.*"):
                archive.write(file, f"../../{file.relative_to(folder)}")  # a name is no path
    found = import_by_process(store, source)
    (key,) = found.ids
    assert found.left_out == {Omitted.FILES: 1, Omitted.TOOLS: 1}
    assert shown(store, key)[1] == (
        "It mirrors the sky.",
        "Hm.",
        0.0,
        "DeepSeek-R1-Distill-Qwen-7B",
    )
    assert versions(store, key, QUESTIONS[0]) == [QUESTIONS[0], "Why is the sea blue?"]
    assert folder_of(store, key) == "Physics"
    nodes = store.messages.all_of(key)
    assert [n.thinking for n in nodes if n.content == ANSWERS[0]] == ["Think of scattering."]


def test_what_was_imported_is_exported_as_anything_else(store: Store, tmp_path: Path) -> None:
    (tmp_path / "sky.conversation.json").write_text(json.dumps(lm_studio_chat()))
    (key,) = import_into(store, tmp_path / "sky.conversation.json").ids
    text = markdown_of(store, key)
    assert (
        f"## Assistant (deepseek-r1-distill-qwen-7b)\n\n> Think of scattering.\n\n{ANSWERS[0]}"
        in text
    )
    export_json(store, tmp_path / "ours.json")
    assert import_into(store, tmp_path / "ours.json").already_here == 1


def zeros(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(2**30)


def bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("conversations.json", b'[{"mapping": {"a": "' + b" " * 2**27)


def large_bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(5):
            archive.writestr(f"{number}.json", b"[" * 2**28)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (zeros, "another kind of file"),
        (bomb, "more than 64 MiB in one conversation"),
        (large_bomb, "longer than 1024 MiB"),
        (lambda file: file.write_bytes(b"[" * 10**8), "it takes too much memory"),
        (lambda file: file.write_text('[{"mapping": NaN}]'), "another kind of file"),
        (lambda file: file.write_bytes(b'[{"mapping": {"a": 1}}, {"mapping"'), "another kind"),
        (lambda file: file.write_text("[]", encoding="utf-16"), "another kind of file"),
        (lambda file: file.write_text('[{"chat_messages": []}]'), "another kind of file"),
    ],
)
def test_a_hostile_file_is_refused_in_a_sentence_and_leaves_nothing(store, tmp_path, make, found):
    make(tmp_path / "file")
    with pytest.raises(ArchiveUnreadable, match=found):
        import_by_process(store, tmp_path / "file")
    assert store.conversations.infos() == []


def test_an_import_that_is_stopped_leaves_nothing(store: Store, tmp_path: Path) -> None:
    file = write_chatgpt(tmp_path / "c.zip", (chatgpt_chat(n, 20) for n in range(200)))
    stop = threading.Event()
    jobs = []

    def run(work: object) -> object:
        jobs.append(work)
        if len(jobs) == 3:  # the list of what is here, then slices
            stop.set()
        return work(store)

    with pytest.raises(ImportStopped):
        import_export(run, file, stop)
    assert len(jobs) < 3 + 4
    assert store._db.first("SELECT count(*) FROM messages") == (0,)
