"""Restores the beginning of a prompt from segments on disk to a context, and saves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from deepseek_r1.core import log
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.prompt_cache.prompt_pieces import PromptPieces
from deepseek_r1.engine.llama.prompt_cache.segment import (
    SEGMENT_TOKENS,
    Segment,
    make_segment,
)
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache, SegmentMatch
from deepseek_r1.engine.llama.prompt_cache.snapshot import SequenceSnapshot
from deepseek_r1.engine.prompt.common_prefix import common_length

_SAVED_LEAST = 16  # tokens of an unfinished segment
_GAINED_LEAST = 8  # tokens, that reading must bring
_OVERHEAD_BYTES = 1 << 16  # of a state beside its cells' rows
_SLOW_S = 2.0  # a disk that takes longer for one segment is left alone for this time


class PrefixCache:
    """Restores and saves sequence 0 of a context. For the computing thread.

    `reserve` is called with the number of cells before they are used. `poll` is called between two
    segments and raises AbortedError to stop.
    """

    def __init__(
        self,
        cache: PromptCache,
        root: bytes,
        context: LlamaContext,
        snapshot: SequenceSnapshot,
        *,
        cell_bytes: int,
        reserve: Callable[[int], None],
        poll: Callable[[], None],
    ) -> None:
        """`cell_bytes` bounds the state of a token."""
        self._cache, self._root, self._context, self._snapshot = cache, root, context, snapshot
        self._cell_bytes = cell_bytes
        self._reserve, self._poll = reserve, poll
        self._pieces = PromptPieces(context)

    def restore(self, prompt: Sequence[int], most: int, *, whole_pieces: bool) -> int:
        """Fill the cells with the beginning of `prompt`, from memory and from the disk.

        Returns how many tokens came from the disk. Afterwards the context has at most `most`
        tokens, all of them the prompt's; with `whole_pieces` only those that were computed so.
        """
        wanted = prompt[:most]
        if whole_pieces:
            kept = self._pieces.length(wanted)
        else:
            kept = common_length(self._context.cells, wanted)
        piece_tokens = self._pieces.size if whole_pieces else 0
        matches = self._cache.match(self._root, wanted, piece_tokens)
        end = sum(match.tokens for match in matches)
        self._context.truncate(kept)  # whatever happens to the segments
        if end < kept + _GAINED_LEAST:
            return 0
        self._reserve(max(kept, end))
        for match in matches:
            if match.segment.first + match.tokens > kept and not self._restore_one(match):
                break
        return max(0, len(self._context.cells) - kept)

    def _restore_one(self, match: SegmentMatch) -> bool:
        segment = match.segment
        count = len(segment.tokens)
        end = segment.first + count
        if end > self._context.params.context_length:
            return False
        if segment.state_bytes > count * self._cell_bytes + _OVERHEAD_BYTES:
            return False
        self._poll()

        def use(state: memoryview) -> bool:
            if self._context.truncate(segment.first) != segment.first:
                return False
            if not self._snapshot.restore(state):
                return False
            self._context.cells += segment.tokens
            if self._context.whole_pieces == segment.first:
                whole = segment.reusable(count, self._pieces.size)
                self._context.whole_pieces += whole
            return True

        if not self._cache.read(segment, use):
            return False
        self._context.truncate(segment.first + match.tokens)
        return True

    def save(self, prefix: Sequence[int], owner: str, until: float | None = None) -> int:
        """Write the part of `prefix` that is in the cells and not on the disk. Returns its tokens.

        It ends at the clock `until` (`time.monotonic`), where the disk refuses, and where the disk
        is slow.
        """
        length = common_length(self._context.cells, prefix)
        parent, written = self._root, 0
        chain: list[bytes] = []
        for first in range(0, length, SEGMENT_TOKENS):
            end = min(first + SEGMENT_TOKENS, length)
            if end - first < _SAVED_LEAST:
                break
            if end - first < SEGMENT_TOKENS and self._covered(prefix[:end]):
                break  # by a longer one, of a conversation that went on
            if until is not None and time.monotonic() >= until:
                break
            segment = self._segment(parent, first, prefix[first:end])
            if not self._cache.keep(segment, owner):
                began = time.monotonic()
                if not self._write_one(parent, first, prefix[first:end], owner, chain):
                    break
                written += end - first
                if time.monotonic() - began > _SLOW_S:
                    log.engine.warning("the disk is too slow to save prompts: the rest is not")
                    break
            parent = segment.id
            chain.append(parent)
        return written

    def _covered(self, prefix: Sequence[int]) -> bool:
        """The disk holds all tokens of `prefix`."""
        matches = self._cache.match(self._root, prefix)
        return sum(match.tokens for match in matches) == len(prefix)

    def _segment(
        self, parent: bytes, first: int, tokens: Sequence[int], state_bytes: int = 0
    ) -> Segment:
        size = self._pieces.size
        whole_end = first + len(tokens) // size * size
        in_pieces = SEGMENT_TOKENS % size == 0 and self._context.whole_pieces >= whole_end
        return make_segment(
            self._root,
            parent,
            first,
            tokens,
            state_bytes,
            piece_tokens=size if in_pieces else 0,
        )

    def _write_one(
        self, parent: bytes, first: int, tokens: Sequence[int], owner: str, chain: Sequence[bytes]
    ) -> bool:
        self._poll()
        end = first + len(tokens)
        nbytes = self._snapshot.state_bytes(first, end)
        segment = self._segment(parent, first, tokens, nbytes)
        return self._cache.write(
            segment,
            owner,
            lambda state: self._snapshot.save(first, end, state),
            chain,
        )
