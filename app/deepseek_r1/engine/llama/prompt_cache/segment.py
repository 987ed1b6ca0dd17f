"""The file of one segment: a header, the token ids, the state of their cells, and a keyed hash.

A file is in memory as a whole while it is written or read. That buffer comes from the heap, whose
place for the loader's largest tensor is free by then: the bill has both in its reserve.
llama.cpp accepts a state with a flipped byte and may abort on a wrong length. So the length, the
header and the keyed hash of a file are checked here before native code sees a byte of it.
"""

import hashlib
import hmac
import os
import re
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.core.atomic_write import sync_folder

SEGMENT_TOKENS = 256
KEY_BYTES = 32
ID_BYTES = 16
SUFFIX, CHECKPOINT_SUFFIX = ".kv", ".rs"
TEMPORARY_SUFFIX = ".kv.new"
_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{32})-([0-9a-f]{32})(\.kv|\.rs)")
_MAGIC, _CHECKPOINT_MAGIC = b"R1KVSEG3", b"R1RSSEG1"
# Magic, root, id, parent, first, tokens, tokens of a piece, state bytes.
_HEADER = struct.Struct("<8s16s16s16sIIIQ")
_HASH_BYTES = 32
_TOKEN_BYTES = 4
_PERSON, _CHECKPOINT_PERSON = b"r1 kv segment", b"r1 rs segment"
STATE_BYTES_MOST = 1 << 32


class SegmentDamagedError(Exception):
    """The file is not the expected segment: it is truncated, changed, exchanged or foreign."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Token ids and their position: `first` is the position of the first one.

    `root` is the fingerprint of everything that a state depends on. `parent` is the id of the
    segment before this one, or the root. `piece_tokens` is the size of the pieces in which the
    tokens up to its end were computed (see `PromptPieces`), 0 where they were computed otherwise.
    A `checkpoint` holds the recurrent state after its last token in place of its tokens' cells.
    """

    root: bytes
    parent: bytes
    first: int
    tokens: tuple[int, ...]
    state_bytes: int
    piece_tokens: int
    id: bytes
    checkpoint: bool = False

    @property
    def end(self) -> int:
        """The position behind its last token."""
        return self.first + len(self.tokens)

    def reusable(self, count: int, piece_tokens: int) -> int:
        """Return how many of its first `count` tokens were computed in whole pieces of that size.

        With `piece_tokens` 0 all of them count, however they were computed.
        """
        if not piece_tokens:
            return count
        return count // piece_tokens * piece_tokens if piece_tokens == self.piece_tokens else 0

    @property
    def file_bytes(self) -> int:
        return self._state_offset + self.state_bytes + _HASH_BYTES

    @property
    def file_name(self) -> str:
        """The name of its file, without a folder. It says root, parent and id."""
        suffix = CHECKPOINT_SUFFIX if self.checkpoint else SUFFIX
        return f"{self.root.hex()}-{self.parent.hex()}-{self.id.hex()}{suffix}"

    @property
    def _state_offset(self) -> int:
        return _HEADER.size + len(self.tokens) * _TOKEN_BYTES

    def header(self) -> bytes:
        ids, counts = (self.root, self.id, self.parent), (self.first, len(self.tokens))
        magic = _CHECKPOINT_MAGIC if self.checkpoint else _MAGIC
        header = _HEADER.pack(magic, *ids, *counts, self.piece_tokens, self.state_bytes)
        return header + array("i", self.tokens).tobytes()

    def encode(self, key: bytes, fill: Callable[[memoryview], None]) -> bytearray:
        """Return the whole file in a new buffer; `fill` writes the state into its view."""
        buffer = bytearray(self.file_bytes)
        end = self.file_bytes - _HASH_BYTES
        buffer[: self._state_offset] = self.header()
        with memoryview(buffer) as whole, whole[self._state_offset : end] as state:
            fill(state)
        buffer[end:] = self._hash(key, buffer)
        return buffer

    def read(self, path: Path, key: bytes, use: Callable[[memoryview], bool]) -> bool:
        """Check the file and pass its state to `use`. Returns the result of `use`.

        Raises SegmentDamagedError, OSError.
        """
        end = self.file_bytes - _HASH_BYTES
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != self.file_bytes:
                raise SegmentDamagedError("another length than its header says")
            buffer = bytearray(self.file_bytes)
            if file.readinto(buffer) != self.file_bytes:
                raise SegmentDamagedError("it became shorter while it was read")
            drop_from_page_cache(file.fileno())
        if buffer[: self._state_offset] != self.header():
            raise SegmentDamagedError("another header than it had")
        if not hmac.compare_digest(buffer[-_HASH_BYTES:], self._hash(key, buffer)):
            raise SegmentDamagedError("its hash does not match")
        with memoryview(buffer) as whole, whole[self._state_offset : end] as state:
            return use(state)

    def _hash(self, key: bytes, buffer: bytearray) -> bytes:
        hashed = hashlib.blake2b(key=key, digest_size=_HASH_BYTES, person=_PERSON)
        with memoryview(buffer) as whole, whole[:-_HASH_BYTES] as covered:
            hashed.update(covered)
        return hashed.digest()


def make_segment(
    root: bytes,
    parent: bytes,
    first: int,
    tokens: Sequence[int],
    state_bytes: int = 0,
    *,
    piece_tokens: int = 0,
    checkpoint: bool = False,
) -> Segment:
    """Return a segment with its id, a hash of the tokens chained to the parent's id."""
    person = _CHECKPOINT_PERSON if checkpoint else _PERSON
    hashed = hashlib.blake2b(parent, digest_size=ID_BYTES, person=person)
    hashed.update(array("i", tokens))
    own_id = hashed.digest()
    ids = (root, parent, first)
    return Segment(*ids, tuple(tokens), state_bytes, piece_tokens, own_id, checkpoint)


def ids_of(file_name: str) -> tuple[bytes, bytes, bytes, bool] | None:
    """Return root, parent and id that a file's name says, and whether it is a checkpoint's.

    None for another name.
    """
    found = _NAME.fullmatch(file_name)
    if found is None:
        return None
    root, parent, own_id = map(bytes.fromhex, found.groups()[:3])
    return root, parent, own_id, found[4] == CHECKPOINT_SUFFIX


def read_header(path: Path) -> Segment:
    """Return the segment that a file claims to hold, without checking the hash.

    Raises SegmentDamagedError, OSError.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(_HEADER.size) or b""
        if len(data) != _HEADER.size:
            raise SegmentDamagedError("it is too short for a header")
        magic, root, claimed, parent, first, count, piece, state_bytes = _HEADER.unpack(data)
        if (
            magic not in (_MAGIC, _CHECKPOINT_MAGIC)
            or not 0 < count <= SEGMENT_TOKENS
            or state_bytes > STATE_BYTES_MOST
        ):
            raise SegmentDamagedError("it does not begin like a segment")
        ids = file.read(count * _TOKEN_BYTES) or b""
    if len(ids) != count * _TOKEN_BYTES:
        raise SegmentDamagedError("it is too short for its tokens")
    segment = make_segment(
        root,
        parent,
        first,
        array("i", ids),
        state_bytes,
        piece_tokens=piece,
        checkpoint=magic == _CHECKPOINT_MAGIC,
    )
    if segment.id != claimed or segment.file_name != path.name or segment.file_bytes != size:
        raise SegmentDamagedError("its name, its length or its id is another one's")
    return segment


def write_file(path: Path, data: bytearray) -> None:
    """Write `data` under a temporary name, sync it, and rename it. Raises OSError.

    Nothing of it stays in the page cache, which a memory limit would count as ours.
    """
    fresh = path.with_suffix(TEMPORARY_SUFFIX)
    fresh.unlink(missing_ok=True)  # of a crash, or a link that would lead elsewhere
    try:
        with fresh.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            drop_from_page_cache(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def drop_from_page_cache(file: int) -> None:
    """Ask the system to drop a file's pages from the page cache, where that is possible."""
    if sys.platform == "linux":
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
