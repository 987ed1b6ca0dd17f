"""Checkpoints of the recurrent state, which cannot be cut as the cells of attention can.

A model with recurrent layers (delta nets, Mamba, short convolutions) sums up all tokens in one
state. To drop tokens, an earlier state has to be put back, so copies of it are taken on the way.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.memory.cost_model import CHECKPOINTS


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after the first `tokens` tokens; `whole`: all were computed in whole pieces."""

    tokens: int
    whole: bool
    state: bytearray


class Checkpoints:
    """Copies of the recurrent state of sequence 0, by position. For the computing thread."""

    def __init__(self, api: Any, context: Any) -> None:
        """`context` is llama.cpp's, with no token in it yet."""
        self._api, self._context = api, context
        self._flags = api.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        self._nothing = self.read()
        self._kept: list[Checkpoint] = []  # in the order of their positions

    def read(self) -> bytearray:
        size = self._api.llama_state_seq_get_size_ext(self._context, 0, self._flags)
        state = bytearray(size)
        native = (ctypes.c_uint8 * size).from_buffer(state)
        get = self._api.llama_state_seq_get_data_ext
        if get(self._context, native, size, 0, self._flags) != size:
            raise EngineFailed(detail=f"the recurrent state of {size} bytes cannot be read")
        return state

    def put(self, state: bytearray | memoryview, sequence: int = 0) -> bool:
        """Replace the state of a sequence; False where llama.cpp refuses it."""
        native = (ctypes.c_uint8 * len(state)).from_buffer(state)
        set_data = self._api.llama_state_seq_set_data_ext
        read = set_data(self._context, native, len(state), sequence, self._flags)
        return bool(read == len(state))

    def drop_state(self, sequence: int = 0) -> None:
        """Leave a sequence without state. The cells of its attention remain, and can be cut."""
        self.put(self._nothing, sequence)

    def take(self, tokens: int, *, whole: bool) -> Checkpoint:
        """Copy the state, which is that after `tokens` tokens. Raises EngineFailed.

        Of too many copies, the first and the last ones remain.
        """
        return self.add(tokens, self.read, whole=whole)

    def add(self, tokens: int, copy: Callable[[], bytearray], *, whole: bool) -> Checkpoint:
        """Keep the copy that `copy` makes, as the last one."""
        self.forget(tokens - 1)
        del self._kept[1 : len(self._kept) - CHECKPOINTS + 2]  # before memory is taken for it
        self._kept.append(Checkpoint(tokens, whole, copy()))
        return self._kept[-1]

    def before(self, tokens: int, *, whole: bool = False) -> Checkpoint | None:
        """Return the last copy from before a position; with `whole`, of whole pieces."""
        found = (each for each in self._kept if each.tokens <= tokens and whole <= each.whole)
        return max(found, key=lambda each: each.tokens, default=None)

    def forget(self, after: int) -> None:
        """Drop the copies from behind a position, where other tokens will follow."""
        self._kept = [each for each in self._kept if each.tokens <= after]

    def all(self) -> tuple[Checkpoint, ...]:
        return tuple(self._kept)
