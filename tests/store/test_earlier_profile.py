"""Profiles that earlier commits wrote, 11f9082 and b295725c, open unchanged. Each was made once."""

import json
import shutil
import threading
from dataclasses import asdict
from pathlib import Path
from unittest.mock import Mock

import apsw
import pytest
from pydantic import BaseModel

from deepseek_r1.catalogue.partial_file import PIECE_BYTES, PartialFile, unfinished
from deepseek_r1.core.events import FinishReason
from deepseek_r1.documents.index import DocumentIndex
from r1desk import preferences
from r1desk.store import Attachment, MessageState, Profile, Store, StoreThread
from r1desk.store.archive import export_json, export_markdown
from r1desk.store.imports import import_export
from r1desk.store.migrations import MIGRATIONS

WRITTEN = Path(__file__).parent / "profile_of_11f9082"
LATER = Path(__file__).parent / "profile_of_b295725c"  # with folders, prompts, documents, exports
SUM, PARIS, TRASHED = 1, 2, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(WRITTEN, tmp_path / "earlier")


def test_all_of_an_earlier_profile_is_there(folder: Path) -> None:
    notes = Attachment("notes.md", "# Notes", 7)
    with Profile.open(folder) as profile, Store(profile.database) as store:
        assert (store.opening.set_aside, store.opening.lost_rows) == (None, 0)
        assert [i.title for i in store.conversations.infos()] == ["Paris", "What is 2+2?"]
        assert [i.title for i in store.conversations.infos(trashed=True)] == ["Away with it"]
        branch = store.messages.path(SUM)
        assert [m.content for m in branch] == ["What is 2+2?", "It is 4.", "And 3+3?", ""]
        assert branch[1].thinking == "Two and two."
        assert branch[1].stats is not None
        assert branch[1].stats.finish_reason is FinishReason.STOP
        assert (branch[3].state, branch[3].error is None) == (MessageState.FAILED, False)
        assert len(store.messages.siblings(branch[1].id)) == 2
        last = store.messages.path(PARIS)[-1]  # its window was killed
        assert (last.content, last.state) == ("法国的首", MessageState.STOPPED)
        assert [hit.conversation_id for hit in store.search("法国")] == [PARIS]
        assert [store.conversations.draft(key) for key in (None, SUM)] == [
            "a new question",
            "and then",
        ]
        settings = store.conversations.settings(SUM)
        assert settings.system_prompt == "Answer in French."
        assert settings.model_path == "/models/r1.gguf"
        assert settings.sampling is not None
        assert settings.sampling.seed == 7
        assert store.key_value.get("last_conversation") == PARIS
        store.attachments.save_drafts(None, [notes])  # a table of later
        assert store.attachments.drafts(None) == (notes,)
    with apsw.Connection(str(profile.database)) as db:
        assert db.execute("PRAGMA user_version").fetchall() == [(len(MIGRATIONS),)]


def test_preferences_of_an_earlier_profile_are_read(folder: Path) -> None:
    stored, damaged = preferences.load(folder)
    assert damaged is None
    assert (stored.language, stored.theme) == ("zh_CN", "dark")
    assert stored.sampling.max_tokens == 99
    assert stored.load.memory_budget == 3000
    assert stored.system_prompt == "Be short."


@pytest.fixture
def later(tmp_path: Path) -> Path:
    return shutil.copytree(LATER, tmp_path / "later")


def plain(value: object) -> object:
    """As JSON has it."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else asdict(value)


def has(now: object, then: object) -> bool:
    """Whether all that was there is there now; fields may have come."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(has(now.get(key), then[key]) for key in then)
    if isinstance(then, list):
        return len(now) == len(then) and all(map(has, now, then))
    return now == then


def test_every_row_and_what_is_found_is_as_it_was_written(later):
    then = json.loads((later / "rows.json").read_text("utf-8"))
    with Profile.open(later) as profile, Store(profile.database) as store:
        chats, messages, files = store.conversations, store.messages, store.attachments
        keys = [*map(int, then["messages"])]
        (folder,) = store.folders.infos()
        now = {
            "infos": chats.infos(),
            "trash": chats.infos(trashed=True),
            "branches": {key: [each.id for each in messages.path(key)] for key in keys},
            "messages": {key: messages.all_of(key) for key in keys},
            "settings": {key: chats.settings(key) for key in keys},
            "folders": [folder],
            "folder_documents": files.of_folder(folder.id),
            "prompts": store.prompts.all(),
            "drafts": [chats.draft(None), chats.draft(SUM)],
            "draft_files": files.drafts(None),
            "values": [store.key_value.get("last_conversation"), store.key_value.get("presets")],
            "search": {query: store.search(query) for query in then["search"]},
        }
    index = DocumentIndex(later / "documents.db")
    document = index.documents()[0].sha256
    now["passages"] = index.passages(document)
    now["found"] = {question: index.search(question, [document]) for question in then["found"]}
    index.close()
    now = json.loads(json.dumps(now, default=plain))
    assert [part for part in then if not has(now[part], then[part])] == []


def test_an_earlier_profile_is_exported_as_it_was_and_its_export_has_nothing_new(later):
    profile = Profile.open(later)
    store = StoreThread(profile.database)

    def run(work):
        return store.submit(work).result()

    def without_summaries(file: Path) -> list[str]:  # their words have changed
        return [line for line in file.read_text("utf-8").splitlines() if " passage" not in line]

    try:
        run(lambda store: export_json(store, later / "again.json"))
        run(lambda store: export_markdown(store, later / "again.md"))
        imported = import_export(run, later / "export.json", threading.Event())
    finally:
        store.close()
        profile.close()
    then, now = (json.loads((later / f"{name}.json").read_text()) for name in ("export", "again"))
    assert has(now, then)
    assert without_summaries(later / "again.md") == without_summaries(later / "export.md")
    assert (imported.ids, imported.already_here) == ((), len(then["conversations"]))


def test_a_half_finished_download_of_an_earlier_profile_goes_on(later):
    models = later / "models"
    bytes_written = b"r1 " * (PIECE_BYTES // 3) + b"r1" + b"rest"
    (models / ".downloads/r1.gguf.part").write_bytes(bytes_written)
    ((spec, received),) = unfinished(models)
    assert received == len(bytes_written)
    partial = PartialFile(models, spec)
    partial.resume(Mock())
    assert (partial.done, partial.journal.etag) == (PIECE_BYTES, '"tag"')
    partial.close()
