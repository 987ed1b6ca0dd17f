"""Puts checkpoints of a recurrent state from the disk into a context, and saves them."""

import time
from collections.abc import Collection, Sequence

from deepseek_r1.engine.llama.binding.checkpoints import Checkpoint, Checkpoints
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.prompt_cache.segment import SEGMENT_TOKENS, Segment, make_segment
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from deepseek_r1.memory.cost_model import CHECKPOINTS

CHECKPOINT_TOKENS = 4096
"""The most tokens of a long text between two checkpoints on the disk."""
_OVERHEAD_BYTES = 1 << 16  # of a state beside its values


class CheckpointCache:
    """The checkpoints of sequence 0 of a context. For the computing thread.

    On the disk a checkpoint stands beside the segment that would end where it is: it has the same
    tokens and the same parent, but an id of its own.
    """

    def __init__(
        self,
        cache: PromptCache,
        root: bytes,
        context: LlamaContext,
        checkpoints: Checkpoints,
        state_bytes: int,
    ) -> None:
        """`state_bytes` bounds the state."""
        self._cache, self._root, self._context = cache, root, context
        self.in_memory, self._state_bytes = checkpoints, state_bytes

    def find(self, tokens: Sequence[int], first: int, piece_tokens: int) -> list[Segment]:
        """Return those among `tokens`, from `first` on, with `piece_tokens` as `match` does."""
        there = self._cache.checkpoints(self._root, tokens, piece_tokens)
        return [each for each in there if each.end >= first]

    def put(self, points: Sequence[Segment]) -> bool:
        """Put the last of `points` that has its cells and can be read in place, and cut there."""
        reached = [each for each in points if each.end <= len(self._context.cells)]
        for point in reversed(reached):
            if self._read(point):
                return self._context.cut(point.end) == point.end
        return False

    def _read(self, point: Segment) -> bool:
        if point.state_bytes > self._state_bytes + _OVERHEAD_BYTES:
            return False
        whole = bool(point.piece_tokens) and self._context.whole_pieces >= point.end

        def use(state: memoryview) -> bool:
            if not self.in_memory.put(state):
                return False
            self.in_memory.add(point.end, lambda: bytearray(state), whole=whole)
            if not whole:  # though its cells may be: what follows is not
                self._context.whole_pieces = min(self._context.whole_pieces, point.end - 1)
            return True

        return self._cache.read(point, use)

    def save_all(
        self, tokens: Sequence[int], owner: str, chain: Collection[bytes], until: float | None
    ) -> None:
        """Write those in memory; on the disk the first, the last and those far apart remain."""
        for each in self.in_memory.all():
            late = until is not None and time.monotonic() >= until
            if each.tokens <= len(tokens) and not late:
                self.save(each, owner, chain)
        there = self._cache.checkpoints(self._root, tokens)
        for number, point in enumerate(there):
            if 0 < number < len(there) - CHECKPOINTS and point.end % CHECKPOINT_TOKENS:
                self._cache.drop(point, owner)
            else:
                self._cache.keep(point, owner)

    def save(self, point: Checkpoint, owner: str = "", chain: Collection[bytes] = ()) -> None:
        """Write a checkpoint of the context's tokens, unless it is there.

        One without an owner gets it with `save_all`.
        """
        parent, first, cells = self._root, 0, self._context.cells
        while first + SEGMENT_TOKENS < point.tokens:
            end = first + SEGMENT_TOKENS
            parent, first = make_segment(self._root, parent, first, cells[first:end]).id, end
        segment = make_segment(
            self._root,
            parent,
            first,
            cells[first : point.tokens],
            len(point.state),
            piece_tokens=self._context.piece_tokens if point.whole else 0,
            checkpoint=True,
        )

        def fill(state: memoryview) -> None:
            state[:] = point.state

        if not self._cache.keep(segment, owner):
            self._cache.write(segment, owner, fill, chain)
