"""The k-th write, sync or truncation fails, for every k: once, and from then on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import psutil
import pytest
from test_conversation_store import ask

from deepseek_r1.core.errors import R1Error
from r1desk.store import ConversationSettings, Store


class Plan:
    """Which write, sync or truncation fails and how."""

    count = 0
    at: int | None = None
    sticky = False
    error: type[apsw.Error] = apsw.FullError

    @classmethod
    def reset(cls, at=None, sticky=False, error=apsw.FullError):
        cls.count, cls.at, cls.sticky, cls.error = 0, at, sticky, error

    @classmethod
    def step(cls, kind: str) -> None:
        cls.count += 1
        if cls.at is not None and (cls.count == cls.at or (cls.sticky and cls.count > cls.at)):
            raise cls.error(f"injected failure of {kind} {cls.count}")


class FailingFile(apsw.VFSFile):
    def excepthook(self, *_: object) -> None:
        """The failure is the test's own."""

    def xWrite(self, data: object, offset: int) -> None:
        Plan.step("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        Plan.step("sync")
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:
        Plan.step("truncate")
        super().xTruncate(size)


class FailingVFS(apsw.VFS):
    def __init__(self) -> None:
        self.base = apsw.vfs_names()[0]  # the default one until now
        super().__init__("r1-failing", self.base, makedefault=True)

    def excepthook(self, *_: object) -> None:
        """The failure is the test's own."""

    def xOpen(self, name: object, flags: list[int]) -> FailingFile:
        return FailingFile(self.base, name, flags)


@pytest.fixture(scope="module", autouse=True)
def failing_vfs() -> Iterator[FailingVFS]:
    vfs = FailingVFS()
    yield vfs
    vfs.unregister()


@pytest.fixture(autouse=True)
def healthy_again() -> Iterator[None]:
    Plan.reset()
    yield
    Plan.reset()


def send(store: Store) -> None:
    with store.transaction():
        conversation = store.conversations.create().id
        question = store.messages.append_user(conversation, "sent " * 2000, None)
        store.messages.begin_answer(conversation, question.id)
        store.conversations.save_draft(None, "")


def finish(store: Store) -> None:
    store.messages.finish_answer(store.messages.path(1)[1].id, "changed " * 2000)


def trash(store: Store) -> None:
    store.conversations.trash(1)


def purge(store: Store) -> None:
    store.conversations.purge_trash(-1)


def configure(store: Store) -> None:
    store.conversations.save_settings(1, ConversationSettings("m", "p" * 9000, None))


def picture(store: Store) -> object:
    everything = [*store.conversations.infos(), *store.conversations.infos(trashed=True)]
    return [
        (
            c.id,
            c.title,
            c.trashed_at is None,
            store.conversations.settings(c.id),
            [(m.content, m.state) for m in store.messages.path(c.id)],
        )
        for c in sorted(everything, key=lambda c: c.id)
    ], store.conversations.draft(None)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sample") / "c.db"
    with Store(path) as store:
        ask(store, "question", "text " * 200)
        store.conversations.trash(ask(store, "in the trash", "text"))
        store.conversations.save_draft(None, "a draft")
    return path.read_bytes()


def prepared(path: Path, sample: bytes) -> Store:
    path.write_bytes(sample)
    return Store(path)


@pytest.mark.parametrize("work", [send, finish, trash, purge, configure])
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
@pytest.mark.parametrize("sticky", [False, True])
def test_every_transaction_is_whole_or_absent(memory_dir, sample, work, error, sticky):
    with prepared(memory_dir / "reference.db", sample) as store:
        pictures = [picture(store)]
        Plan.reset()
        work(store)
        operations = Plan.count
        pictures.append(picture(store))
    assert operations >= 2
    for k in range(1, operations + 1):
        path = memory_dir / f"{k}.db"
        store = prepared(path, sample)
        Plan.reset(k, sticky, error)
        failed = False
        try:
            work(store)
        except R1Error:
            failed = True
        Plan.reset()
        seen = picture(store)
        assert seen in pictures, f"half a transaction at {k}"
        assert failed or seen == pictures[1], f"a failure at {k} was not told"
        store.conversations.save_draft(None, "later")
        assert store.conversations.draft(None) == "later"
        store.close()
        with Store(path) as again:
            assert again.opening.set_aside is None
            assert again._db.execute("PRAGMA integrity_check") == [("ok",)]
            assert again.conversations.draft(None) == "later"


def open_files(path: Path) -> list[str]:
    """The database's files that this process has open. On Windows they are deleted to know."""
    if sys.platform != "win32":
        opened = [Path(file.path).name for file in psutil.Process().open_files()]
        return [name for name in opened if name.startswith(path.name)]
    refused = []
    for file in path.parent.glob(f"{path.name}*"):
        try:
            file.unlink()
        except PermissionError:
            refused.append(file.name)
    return refused


@pytest.mark.parametrize(
    "error", [apsw.FullError, pytest.param(apsw.IOError, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("sticky", [False, True])
def test_an_opening_fails_in_our_words_or_works_and_leaves_no_file_open(memory_dir, error, sticky):
    """While its error is shown: Windows neither moves nor deletes an open file."""
    Plan.reset()
    Store(memory_dir / "reference.db").close()
    for k in range(1, Plan.count + 1):
        path = memory_dir / f"{k}.db"
        Plan.reset(k, sticky, error)
        try:
            Store(path).close()
        except R1Error:
            assert not open_files(path), k
        Plan.reset()
        with Store(path) as store:
            assert store.writable
            ask(store, "works", "again")
