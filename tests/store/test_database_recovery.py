"""Truncated WALs, flipped bytes, and files that are no database any more."""

import random
from pathlib import Path

import pytest
from test_conversation_store import ask

from r1desk.store import Store, database_opening
from r1desk.store.errors import StoreDamaged

CONVERSATIONS = 30


def text(number: int) -> str:
    return f"answer {number}: " + "all work and no play 你好世界 " * 20


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, bytes]:
    """A database without WAL; and the same as a killed window leaves it: file and WAL."""
    path = tmp_path_factory.mktemp("sample") / "c.db"
    wal = path.with_name("c.db-wal")
    store = Store(path)
    for number in range(CONVERSATIONS):
        ask(store, f"question {number}", text(number))
    killed = path.read_bytes(), wal.read_bytes()
    store.close()
    return path.read_bytes(), *killed


def usable(store: Store) -> list[str]:
    """Proves reading, writing and searching; returns the titles that were there."""
    titles = [c.title for c in store.conversations.infos()]
    for conversation in store.conversations.infos():
        for message in store.messages.path(conversation.id):
            store.messages.siblings(message.id)
    new = ask(store, "brand new", "and findable")
    assert any(hit.conversation_id == new for hit in store.search("findable"))
    assert store.messages.path(new)[1].content == "and findable"
    database_opening.check(store._db, thorough=True)
    return titles


def test_a_truncated_wal_gives_a_whole_number_of_transactions(sample, memory_dir):
    _, main, wal = sample
    chance = random.Random(3)
    best = 0
    for number in range(200):
        path = memory_dir / f"{number}.db"
        path.write_bytes(main)
        path.with_name(path.name + "-wal").write_bytes(wal[: chance.randrange(len(wal) + 1)])
        with Store(path) as store:
            assert store.opening.set_aside is None
            titles = [c.title for c in store.conversations.infos()]
            count = len(titles)
            # The newest may have been cut between its creation and its first message.
            assert titles[int(bool(titles) and titles[0] == "") :] == [
                f"question {n}"
                for n in reversed(range(count - int(bool(titles) and not titles[0])))
            ]
            best = max(best, count)
            if number % 20 == 0:
                usable(store)
        path.unlink()
    assert best > CONVERSATIONS // 2


def test_flipped_bytes_always_lead_to_a_usable_store(sample, memory_dir):
    whole, _, _ = sample
    chance = random.Random(5)
    kept = damaged = 0
    for number in range(50):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 8, 64])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path = memory_dir / f"{number}.db"
        path.write_bytes(data)
        with Store(path) as store:
            if store.opening.set_aside is not None:
                damaged += 1
                assert store.opening.set_aside.read_bytes() == bytes(data)
            kept += len(usable(store))
    assert damaged > 10, "the check did not notice"
    assert kept > 0.6 * 50 * CONVERSATIONS, f"only {kept} conversations of all were rescued"


@pytest.mark.parametrize("place", [24, 44, 56, 60, 63, 100, 101, 105])
def test_flipped_bytes_in_the_header_lead_to_a_usable_store(sample, database, place):
    data = bytearray(sample[0])
    data[place] ^= 0xFF
    database.parent.mkdir()
    database.write_bytes(data)
    with Store(database) as store:
        assert len(usable(store)) == CONVERSATIONS


@pytest.mark.parametrize(
    "content", [b"\0" * 64_560, b"not a database at all" * 100, b"SQLite format 3\0", b""]
)
def test_a_file_that_is_no_database_is_set_aside(database: Path, content: bytes) -> None:
    database.parent.mkdir()
    database.write_bytes(content)
    with Store(database) as store:
        assert usable(store) == []
        if content:
            assert store.opening.set_aside is not None
            assert store.opening.set_aside.read_bytes() == content


def test_a_lost_page_costs_its_own_rows_only(sample, database):
    data = bytearray(sample[0])
    page = data.index(b"answer 12:") // 4096 * 4096
    data[page : page + 4096] = b"\xff" * 4096
    database.parent.mkdir()
    database.write_bytes(data)
    with Store(database) as store:
        titles = usable(store)
        assert store.opening.lost_rows > 0
    assert len(titles) == CONVERSATIONS


def test_a_damaged_search_index_is_said_and_made_anew_at_the_next_start(database, monkeypatch):
    monkeypatch.setattr(database_opening, "FULL_CHECK_BYTES", 0)
    spoil = "UPDATE message_index_data SET block = x'00112233445566778899' WHERE id > 10"
    with Store(database) as store:
        key = ask(store, "question", "findable text")
        store._db.execute(spoil)
    with Store(database) as store, pytest.raises(StoreDamaged):
        store.messages.finish_answer(store.messages.path(key)[1].id, "another text")
    with Store(database) as store:
        assert (store.opening.lost_rows, len(store.search("findable"))) == (0, 1)
