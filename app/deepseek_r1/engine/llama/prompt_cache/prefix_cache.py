"""Restores the beginning of a prompt from segments on disk to a context, and saves it."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.engine.interface import OpenRequest
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.computing import Computing
from deepseek_r1.engine.llama.prompt_cache.checkpoint_cache import CheckpointCache
from deepseek_r1.engine.llama.prompt_cache.segment import (
    ID_BYTES,
    SEGMENT_TOKENS,
    Segment,
    drop_from_page_cache,
    make_segment,
)
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache, SegmentMatch
from deepseek_r1.engine.prompt.prompt_builder import common_length
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import cpu
from deepseek_r1.memory.cost_model import kv_cache_bytes, layers_of, padded


class SequenceSnapshot:
    """Copies the cells of a token range out of sequence 0 and back, bit for bit.

    A second sequence marks the range: llama.cpp's state of that sequence is then the range alone.
    The cache must be unified, so that marking moves no data. For the computing thread.
    """

    def __init__(self, api: Any, context: LlamaContext) -> None:
        self._api, self._context, self._memory = api, context.pointer, context.memory
        self._checkpoints = context.checkpoints
        self._sequence = context.params.sequences  # the one after all others, for snapshots

    def state_bytes(self, first: int, end: int) -> int:
        with self._marked(first, end):
            return int(self._api.llama_state_seq_get_size(self._context, self._sequence))

    def save(self, first: int, end: int, state: memoryview) -> None:
        with self._marked(first, end):
            native = (ctypes.c_uint8 * len(state)).from_buffer(state)
            written = self._api.llama_state_seq_get_data(
                self._context, native, len(state), self._sequence
            )
            del native  # the view can be released again
        if written != len(state):
            raise EngineFailed(detail=f"a state of {len(state)} bytes gave {written}")

    def restore(self, state: memoryview) -> bool:
        """Put a state's cells behind those of sequence 0; False where llama.cpp refuses it."""
        native = (ctypes.c_uint8 * len(state)).from_buffer(state)
        read = self._api.llama_state_seq_set_data(self._context, native, len(state), self._sequence)
        del native
        if read == len(state):
            self._api.llama_memory_seq_cp(self._memory, self._sequence, 0, -1, -1)
        self._unmark()
        return bool(read == len(state))

    @contextmanager
    def _marked(self, first: int, end: int) -> Iterator[None]:
        self._api.llama_memory_seq_cp(self._memory, 0, self._sequence, first, end)
        if self._checkpoints is not None:  # it has no ends, so it is no part of a range
            self._checkpoints.drop_state(self._sequence)
        try:
            yield
        finally:
            self._unmark()

    def _unmark(self) -> None:
        self._api.llama_memory_seq_rm(self._memory, self._sequence, -1, -1)


class PromptPieces:
    """Keeps and fills sequence 0 of a context in whole pieces. For the computing thread.

    llama.cpp sums up a token's values in an order that depends on how many tokens are computed
    together. The differences are in the last bits, and now and then another token is chosen. So an
    answer that has to be reproducible reads its prompt in pieces of one size from position 0 on,
    and reuses only cells that were filled so: its bytes do not depend on what the cache held.
    Prompts that may be saved to disk are computed in the same pieces: what is restored later serves
    both kinds.
    """

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self.size = context.piece_tokens
        """Tokens of a piece."""

    def known(self, prompt: Sequence[int], *, whole_pieces: bool) -> int:
        """Return how many tokens of `prompt` can stay in the cells, or there in whole pieces."""
        same = common_length(self._context.cells, prompt)
        if whole_pieces:
            same = min(same, self._context.whole_pieces) // self.size * self.size
        return self._context.reachable(same, whole=whole_pieces)

    def drop_others(self, most: int) -> int:
        """Drop the cells after the last whole piece, unless they are more than `most`.

        What is computed next is then in whole pieces too. Returns how many were dropped.
        """
        length = self._context.whole_pieces // self.size * self.size
        length = self._context.reachable(length, whole=True)
        others = len(self._context.cells) - length
        if not 0 < others <= most:
            return 0
        self._context.truncate(length)
        return others

    def compute_next(self, prompt: Sequence[int], most: int) -> None:
        """Append the next piece of `prompt`. Raises AbortedError, EngineFailed.

        It is smaller, and not a whole one, where `most` is less than its size.
        """
        done = len(self._context.cells)
        end = done // self.size * self.size + self.size
        piece = prompt[done : min(end, done + most)]
        self._context.compute(piece)
        if len(piece) == self.size and self._context.whole_pieces == done:
            self._context.whole_pieces = end


_SAVED_LEAST = 16  # tokens of an unfinished segment
_GAINED_LEAST = 8  # tokens, that reading must bring
_OVERHEAD_BYTES = 1 << 16  # of a state beside its cells' rows
_SLOW_S = 2.0  # a disk that takes longer for one segment is left alone for this time


class PrefixCache:
    """Restores and saves sequence 0 of a context. For the computing thread."""

    def __init__(
        self, cache: PromptCache, root: bytes, computing: Computing, api: Any, cell_bytes: int
    ) -> None:
        """`cell_bytes` bounds the state of a token."""
        self._cache, self._root, self._cell_bytes = cache, root, cell_bytes
        self.points: CheckpointCache | None = None
        """Those of a recurrent state, beyond which nothing is restored."""
        self._computing, self._context = computing, computing.context
        self._snapshot = SequenceSnapshot(api, self._context)
        self._pieces = PromptPieces(self._context)

    def restore(self, prompt: Sequence[int], most: int, *, whole_pieces: bool) -> int:
        """Fill the cells with the beginning of `prompt`, from memory and from the disk.

        Returns how many tokens came from the disk. Afterwards the context has at most `most`
        tokens, all of them the prompt's; with `whole_pieces` only those that were computed so.
        """
        wanted = prompt[:most]
        kept = self._pieces.known(wanted, whole_pieces=whole_pieces)
        piece_tokens = self._pieces.size if whole_pieces else 0
        matches = self._cache.match(self._root, wanted, piece_tokens)
        end = sum(match.tokens for match in matches)
        if self.points is not None:
            return self._restore_to_point(self.points, wanted, matches, kept, piece_tokens)
        self._context.truncate(kept)  # whatever happens to the segments
        if end < kept + _GAINED_LEAST:
            return 0
        self._computing.reserve(max(kept, end))
        self._restore_all(matches, kept)
        return max(0, len(self._context.cells) - kept)

    def _restore_all(self, matches: Sequence[SegmentMatch], kept: int) -> None:
        for match in matches:
            if match.segment.first + match.tokens > kept and not self._restore_one(match):
                break

    def _restore_to_point(
        self,
        points: CheckpointCache,
        wanted: Sequence[int],
        matches: Sequence[SegmentMatch],
        kept: int,
        piece_tokens: int,
    ) -> int:
        """`restore` of a model with a recurrent state: not beyond a checkpoint.

        Where one on the disk is farther than any in memory, the cells up to it come from memory as
        far as they are there.
        """
        context = self._context
        same = common_length(context.cells, wanted)
        if piece_tokens:
            same = min(same, context.whole_pieces)
        end = max(same, sum(match.tokens for match in matches))
        found = points.find(wanted[:end], kept + _GAINED_LEAST, piece_tokens)
        if not found:
            context.truncate(kept)
            return 0
        self._computing.reserve(end)
        points.in_memory.forget(same)
        points.in_memory.drop_state()
        context.cut(same)
        good = False
        try:
            if found[-1].end > same:
                before = [each for each in matches if each.segment.first < found[-1].end]
                self._restore_all(before, same)
            good = points.put(found)
        finally:
            if not good:
                context.rewind(min(same, len(context.cells)))  # a segment may have failed halfway
        return max(0, len(context.cells) - kept)

    def _restore_one(self, match: SegmentMatch) -> bool:
        segment = match.segment
        count = len(segment.tokens)
        end = segment.first + count
        if end > self._context.params.context_length:
            return False
        if segment.state_bytes > count * self._cell_bytes + _OVERHEAD_BYTES:
            return False
        self._computing.poll()

        def use(state: memoryview) -> bool:
            if self._context.cut(segment.first) != segment.first:
                return False
            if not self._snapshot.restore(state):
                return False
            self._context.cells += segment.tokens
            if self._context.whole_pieces == segment.first:
                self._context.whole_pieces += segment.reusable(count, self._pieces.size)
            return True

        good = self._cache.read(segment, use)
        if good:
            self._context.cut(segment.first + match.tokens)
        return good

    def save(self, prefix: Sequence[int], owner: str, until: float | None = None) -> None:
        """Write the part of `prefix` that is in the cells and not on the disk.

        It ends at the clock `until` (`time.monotonic`), where the disk refuses, and where the disk
        is slow.
        """
        length = common_length(self._context.cells, prefix)
        chain = [self._root]
        for first in range(0, length, SEGMENT_TOKENS):
            end = min(first + SEGMENT_TOKENS, length)
            if end - first < _SAVED_LEAST:
                break
            if end - first < SEGMENT_TOKENS and self._covered(prefix[:end]):
                break  # by a longer one, of a conversation that went on
            if until is not None and time.monotonic() >= until:
                break
            segment = self._segment(chain[-1], first, prefix[first:end])
            if not self._cache.keep(segment, owner):
                began = time.monotonic()
                if not self._write_one(segment, owner, chain):
                    break
                if time.monotonic() - began > _SLOW_S:
                    log.engine.warning("the disk is too slow to save prompts: the rest is not")
                    break
            chain.append(segment.id)
        if self.points is not None:
            self.points.save_all(prefix[:length], owner, chain, until)

    def _covered(self, prefix: Sequence[int]) -> bool:
        """The disk holds all tokens of `prefix`."""
        matches = self._cache.match(self._root, prefix)
        return sum(match.tokens for match in matches) == len(prefix)

    def _segment(self, parent: bytes, first: int, tokens: Sequence[int]) -> Segment:
        size = self._pieces.size
        whole_end = first + len(tokens) // size * size
        in_pieces = SEGMENT_TOKENS % size == 0 and self._context.whole_pieces >= whole_end
        piece_tokens = size if in_pieces else 0
        return make_segment(self._root, parent, first, tokens, piece_tokens=piece_tokens)

    def _write_one(self, segment: Segment, owner: str, chain: Sequence[bytes]) -> bool:
        self._computing.poll()
        first, end = segment.first, segment.first + len(segment.tokens)
        segment = replace(segment, state_bytes=self._snapshot.state_bytes(first, end))
        return self._cache.write(
            segment, owner, lambda state: self._snapshot.save(first, end, state), chain
        )


_ROPE_BY_LENGTH = "rope_factors_long"  # of models whose rotation depends on the context's length


def prefix_cache(
    library: Library, request: OpenRequest, model: LlamaModel, computing: Computing
) -> PrefixCache | None:
    """Return the cache of a new context; None without a folder, or if its state cannot be cut."""
    header = request.header
    if request.prompt_cache is None:
        return None
    # With a window some layers attend to a part of the context only.
    window = header.metadata.get(f"{header.architecture}.attention.sliding_window", 0)
    if not (model.can_truncate or computing.context.params.recurrent) or window:
        log.engine.info("prompts of %s are not kept on disk: its memory has no ends", header.name)
        return None
    cells = padded(request.settings.context_length)
    root = fingerprint(header, _facts(library, request, computing.context))
    cell_bytes = 2 * kv_cache_bytes(header, request.settings) // cells
    prefixes = PrefixCache(request.prompt_cache, root, computing, library.api, cell_bytes)
    if (checkpoints := computing.context.checkpoints) is not None:
        state_bytes = layers_of(header).state_bytes
        prefixes.points = CheckpointCache(
            request.prompt_cache, root, computing.context, checkpoints, state_bytes
        )
    return prefixes


def _facts(library: Library, request: OpenRequest, context: LlamaContext) -> Facts:
    """Return everything that a state depends on, except for the model's file."""
    header, settings = request.header, request.settings
    by_length = any(_ROPE_BY_LENGTH in tensor.name for tensor in header.tensors)
    # With states to go back to, a recurrent state is computed by another operation.
    rollback = {"rollback": context.params.draft_tokens} if context.params.recurrent else {}
    return rollback | {
        "llama.cpp": library.name,
        "build": library.build,
        "state": int(library.api.LLAMA_STATE_SEQ_VERSION),
        "machine": f"{sys.platform} {platform.machine()} {sys.byteorder} {cpu().name}",
        "kv_type": settings.kv_type.value,
        "flash_attention": library.log.flash_attention(),
        "kernels": context.kernels_name,
        "rotation_disabled": os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
        "unified": True,
        "repacked": request.repacks,
        "context": settings.context_length if by_length else 0,
        "architecture": header.architecture,
        "vocabulary": header.vocabulary,
    }


_SAMPLES, _SAMPLE_BYTES = 64, 4096  # of tensors' data
_READ_BYTES = 1 << 20
_PERSON = b"r1 kv root"

Facts = Mapping[str, str | int | float | bool | None]


def fingerprint(header: ModelHeader, facts: Facts) -> bytes:
    """Hash all that a saved state depends on: the model's file, and `facts`. Raises OSError.

    llama.cpp loads the state of any model of the same shape: it cannot distinguish Qwen2.5-7B's
    from R1-Distill-Qwen-7B's.

    The hash covers all bytes before the first tensor (metadata, vocabulary, table of tensors),
    samples of the tensors' data, the file's size, and its modification time.
    """
    hashed = hashlib.blake2b(digest_size=ID_BYTES, person=_PERSON)
    hashed.update(json.dumps(facts, sort_keys=True).encode())
    for number, part in enumerate(header.parts):
        _add_part(hashed, header, number, part)
    return hashed.digest()


def _add_part(hashed: hashlib.blake2b, header: ModelHeader, number: int, path: Path) -> None:
    tensors = [tensor for tensor in header.tensors if tensor.part == number]
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        hashed.update(f"{number} {status.st_size} {status.st_mtime_ns} ".encode())
        left = min((tensor.offset for tensor in tensors), default=status.st_size)
        while left > 0 and (data := file.read(min(left, _READ_BYTES))):
            hashed.update(data)
            left -= len(data)
        for tensor in tensors[:: max(1, len(tensors) // _SAMPLES)]:
            file.seek(tensor.offset + max(0, tensor.nbytes - _SAMPLE_BYTES) // 2)
            hashed.update(file.read(min(tensor.nbytes, _SAMPLE_BYTES)) or b"")
        drop_from_page_cache(file.fileno())
