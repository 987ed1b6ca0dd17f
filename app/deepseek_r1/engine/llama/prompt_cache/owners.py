"""The small file of who has which segments, and of how much was written today.

It is not trusted: a segment that it does not name has no owner, one that is not there is forgotten.
"""

import time
from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically

_MOST_BYTES = 8 << 20


class _OwnersFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    owners: dict[str, set[str]] = {}  # the ids of the segments of each owner, in hexadecimal
    day: int = 0  # since 1970, UTC
    written_bytes: int = 0  # on that day


class SegmentOwners:
    """Which owner has which segments in its prompt. For one thread at a time.

    An owner names a conversation, the documents in its prompt, or both, with spaces between.
    """

    def __init__(self, path: Path) -> None:
        """Read the file at `path`; one that is missing or damaged is empty."""
        self._path = path
        self._content = _read(path)

    def add(self, segment: bytes, owner: str) -> bool:
        """Note that `owner` has the segment with this id. Returns whether that is new."""
        mine = self._content.owners.setdefault(owner, set())
        new = segment.hex() not in mine
        mine.add(segment.hex())
        return new

    def of(self, segment: bytes) -> set[str]:
        return {owner for owner, ids in self._content.owners.items() if segment.hex() in ids}

    def by_document(self) -> dict[str, set[bytes]]:
        found: dict[str, set[bytes]] = {}
        for owner, ids in self._content.owners.items():
            for name in filter(lambda each: ":" in each, owner.split()):  # others are chats
                found.setdefault(name, set()).update(map(bytes.fromhex, ids))
        return found

    def retain(self, segments: Collection[bytes], owners: set[str] | None = None) -> None:
        """Forget other segments than these ids, and owners who name others than `owners`."""
        there, before = {each.hex() for each in segments}, self._content.owners
        self._content.owners = {
            owner: ids & there
            for owner, ids in before.items()
            if ids & there and (owners is None or owners.issuperset(owner.split(" ")))
        }

    def add_written(self, nbytes: int) -> None:
        self._content.written_bytes = self.written_today + nbytes
        self._content.day = _today()

    @property
    def written_today(self) -> int:
        """Bytes written since midnight, UTC."""
        return self._content.written_bytes if self._content.day == _today() else 0

    def save(self) -> None:
        write_atomically(self._path, self._content.model_dump_json().encode(), private=True)


def _read(path: Path) -> _OwnersFile:
    if not path.is_file():  # to open a pipe may take for ever
        return _OwnersFile()
    try:
        with path.open("rb") as file:
            return _OwnersFile.model_validate_json(file.read(_MOST_BYTES))
    except (OSError, ValidationError) as error:
        log.engine.warning("the file of the prompts' owners is made anew: %s", error)
        return _OwnersFile()


def _today() -> int:
    return int(time.time()) // 86_400
