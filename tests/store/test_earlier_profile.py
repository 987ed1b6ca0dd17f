"""A profile written by the commit 11f9082 opens unchanged. It was made once, with that commit."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from deepseek_r1.core.events import FinishReason
from r1desk import preferences
from r1desk.store import Attachment, MessageState, Profile, Store
from r1desk.store.migrations import MIGRATIONS

WRITTEN = Path(__file__).parent / "profile_of_11f9082"
SUM, PARIS, TRASHED = 1, 2, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(WRITTEN, tmp_path / "earlier")


def test_conversations_of_an_earlier_profile_are_all_there(folder: Path) -> None:
    with Profile.open(folder) as profile, Store(profile.database) as store:
        assert store.opening.set_aside is None
        assert store.opening.lost_rows == 0
        assert [i.title for i in store.conversations.infos()] == ["Paris", "What is 2+2?"]
        assert [i.title for i in store.conversations.infos(trashed=True)] == ["Away with it"]
        branch = store.messages.path(SUM)
        assert [m.content for m in branch] == ["What is 2+2?", "It is 4.", "And 3+3?", ""]
        assert branch[1].thinking == "Two and two."
        assert branch[1].stats is not None
        assert branch[1].stats.finish_reason is FinishReason.STOP
        assert branch[3].state is MessageState.FAILED
        assert branch[3].error is not None
        assert len(store.messages.siblings(branch[1].id)) == 2


def test_an_answer_an_earlier_window_left_unfinished_is_kept_as_stopped(folder: Path) -> None:
    with Profile.open(folder) as profile, Store(profile.database) as store:
        last = store.messages.path(PARIS)[-1]
        assert (last.content, last.state) == ("法国的首", MessageState.STOPPED)
        assert [hit.conversation_id for hit in store.search("法国")] == [PARIS]


def test_drafts_settings_and_values_of_an_earlier_profile_are_there(folder: Path) -> None:
    with Profile.open(folder) as profile, Store(profile.database) as store:
        assert store.conversations.draft(None) == "a new question"
        assert store.conversations.draft(SUM) == "and then"
        settings = store.conversations.settings(SUM)
        assert settings.system_prompt == "Answer in French."
        assert settings.model_path == "/models/r1.gguf"
        assert settings.sampling is not None
        assert settings.sampling.seed == 7
        assert store.key_value.get("last_conversation") == PARIS


def test_preferences_of_an_earlier_profile_are_read(folder: Path) -> None:
    stored, damaged = preferences.load(folder)
    assert damaged is None
    assert (stored.language, stored.theme) == ("zh_CN", "dark")
    assert stored.sampling.max_tokens == 99
    assert stored.load.memory_budget == 3000
    assert stored.system_prompt == "Be short."


def test_an_earlier_profile_gets_the_table_of_attachments(folder: Path) -> None:
    notes = Attachment("notes.md", "# Notes", 7)
    with Profile.open(folder) as profile, Store(profile.database) as store:
        store.attachments.save_drafts(None, [notes])
        assert store.attachments.drafts(None) == (notes,)
        assert all(not m.edited for m in store.messages.path(SUM))
    with apsw.Connection(str(profile.database)) as db:
        assert db.execute("PRAGMA user_version").fetchall() == [(len(MIGRATIONS),)]
