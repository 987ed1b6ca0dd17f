import threading
from pathlib import Path

import pytest

from r1desk.store import Store, StoreThread
from r1desk.store.errors import StoreNewer
from r1desk.store.migrations import MIGRATIONS
from support.patience import PATIENCE_S

LATER = len(MIGRATIONS) + 1  # the format of a version after this one


@pytest.fixture
def thread(database: Path):
    running = StoreThread(database)
    yield running
    running.close()


def hold(thread: StoreThread) -> threading.Event:
    """Keep the store busy until the event is set."""
    begun, release = threading.Event(), threading.Event()

    def wait(store: Store) -> None:
        begun.set()
        release.wait(PATIENCE_S)

    thread.submit(wait)
    assert begun.wait(PATIENCE_S)
    return release


def test_work_is_done_in_order_in_one_thread(thread: StoreThread) -> None:
    done: list[int] = []
    futures = [
        thread.submit(lambda s, n=n: done.append(n) or threading.get_ident()) for n in range(100)
    ]
    (ident,) = {f.result(PATIENCE_S) for f in futures}
    assert ident != threading.get_ident()
    assert done == list(range(100))


def test_an_error_reaches_its_caller_and_the_thread_goes_on(thread: StoreThread) -> None:
    with pytest.raises(LookupError):
        thread.submit(lambda s: s.conversations.get(1)).result(PATIENCE_S)
    assert thread.submit(lambda s: s.conversations.infos()).result(PATIENCE_S) == []


def test_close_drains_and_then_refuses(database: Path) -> None:
    thread = StoreThread(database)
    release = hold(thread)
    futures = [thread.submit(lambda s: s.conversations.create()) for _ in range(20)]
    release.set()
    thread.close()
    assert len({f.result(0).id for f in futures}) == 20
    with pytest.raises(RuntimeError):
        thread.submit(lambda s: s.conversations.infos())
    with Store(database) as store:
        assert len(store.conversations.infos()) == 20


def test_a_store_that_cannot_be_opened_fails_all_work_with_the_reason(database: Path) -> None:
    with Store(database) as store:
        store._db.execute("INSERT INTO migrations VALUES (?, 'later', 0)", (LATER,))
        store._db.execute(f"PRAGMA user_version = {LATER}")
    thread = StoreThread(database)
    with pytest.raises(StoreNewer):
        thread.opened.result(PATIENCE_S)
    with pytest.raises(StoreNewer):
        thread.submit(lambda s: s.conversations.infos()).result(PATIENCE_S)
    thread.close()
