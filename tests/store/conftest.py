"""A store in a folder of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1desk.store import Store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "profile" / "conversations.db"


@pytest.fixture
def memory_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder whose syncs cost nothing, for tests that make hundreds of stores."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="r1-store-") as folder:
        yield Path(folder)


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store(database) as opened:
        yield opened
