"""Migrations, newer databases, and databases that cannot be written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from test_conversation_store import ask

from r1desk.store import MessageState, Store, StoreFull, database_opening, migrations
from r1desk.store import database as database_module
from r1desk.store.errors import StoreLocked, StoreNewer, StoreReadOnly
from r1desk.store.migrations import MIGRATIONS
from window.disks import Disk


def later_step_stars(db: apsw.Connection) -> None:
    db.execute("ALTER TABLE conversations ADD COLUMN starred INTEGER NOT NULL DEFAULT 0")


def later_step_fails(db: apsw.Connection) -> None:
    db.execute("ALTER TABLE conversations ADD COLUMN starred INTEGER NOT NULL DEFAULT 0")
    db.execute("SELECT * FROM nowhere")


@contextmanager
def with_step(step: migrations.Migration) -> Iterator[None]:
    """A later version of the application."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", [*MIGRATIONS, step])
        yield


def test_a_migration_keeps_the_text_and_leaves_a_backup(database: Path) -> None:
    with Store(database) as store:
        ask(store, "kept", "text")
    with with_step(later_step_stars):
        opened, _ = database_opening.open_database(database)
    assert opened.execute("SELECT title, starred FROM conversations") == [("kept", 0)]
    assert opened.execute("PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    opened.close()
    (backup,) = database.parent.glob(f"conversations.v{len(MIGRATIONS)}-*.db")
    with Store(backup) as old:
        assert [c.title for c in old.conversations.infos()] == ["kept"]
    if os.name == "posix":
        assert backup.stat().st_mode & 0o777 == 0o600


def test_a_failed_migration_changes_nothing(database: Path) -> None:
    with Store(database) as store:
        ask(store, "kept", "text")
    with pytest.raises(apsw.SQLError), with_step(later_step_fails):
        database_opening.open_database(database)
    with Store(database) as store:
        assert [c.title for c in store.conversations.infos()] == ["kept"]
        assert store.opening.set_aside is None


def test_a_newer_database_is_refused_and_left_alone(database: Path) -> None:
    with with_step(later_step_stars):
        database_opening.open_database(database)[0].close()
    before = database.read_bytes()
    with pytest.raises(StoreNewer) as refused:
        Store(database)
    assert f"format {len(MIGRATIONS) + 1}" in str(refused.value)
    assert database.read_bytes() == before


def test_another_programs_lock_is_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_WAIT_MS", 50)
    with Store(database), pytest.raises(StoreLocked):
        Store(database)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", size_kib=2048)
    yield disk
    disk.remove()


def test_a_full_drive_is_named_keeps_what_was_saved_and_heals(disk: Disk) -> None:
    path = disk.folder / "conversations.db"
    with Store(path) as store:
        saved = ask(store, "saved", "before")
        disk.leave(100_000)
        with pytest.raises(StoreFull):
            [ask(store, f"number {number}", "text " * 5000) for number in range(100)]
        assert store.messages.path(saved)[1].content == "before"
        disk.free()
        assert store.messages.path(ask(store, "after", "again"))[1].content == "again"
        assert store._db.execute("PRAGMA integrity_check") == [("ok",)]


def test_a_store_on_a_full_drive_can_still_be_read(disk: Disk) -> None:
    path = disk.folder / "conversations.db"
    with Store(path) as store:
        saved = ask(store, "saved", "before")
    disk.fill()
    with Store(path) as store:
        assert store.messages.path(saved)[1].content == "before"
        if not store.writable:
            assert isinstance(store.opening.problem, StoreFull)


def test_a_read_only_profile_is_shown_and_not_changed(disk: Disk) -> None:
    path = disk.folder / "conversations.db"
    with Store(path) as store:
        conversation = store.conversations.create().id
        answer = store.messages.begin_answer(
            conversation, store.messages.append_user(conversation, "hello", None).id
        )
        store.messages.save_progress(answer.id, "half an ans")
    disk.set_writable(False)
    with Store(path) as viewed:
        assert not viewed.writable
        assert isinstance(viewed.opening.problem, StoreReadOnly)
        assert [m.content for m in viewed.messages.path(conversation)] == ["hello", "half an ans"]
        assert viewed.messages.path(conversation)[1].state is MessageState.STOPPED
        assert viewed.search("hello")
        for write in (
            viewed.conversations.create,
            lambda: viewed.conversations.save_draft(None, "x"),
            lambda: viewed.conversations.trash(conversation),
            lambda: viewed.messages.append_user(conversation, "x", None),
        ):
            with pytest.raises(StoreReadOnly):
                write()


def test_a_store_that_is_not_there_cannot_be_viewed(disk: Disk) -> None:
    disk.set_writable(False)
    with pytest.raises(StoreReadOnly):
        Store(disk.folder / "conversations.db")
