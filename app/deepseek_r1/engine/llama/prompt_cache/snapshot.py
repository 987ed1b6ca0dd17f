"""Copies the cells of a token range out of a context and back, bit for bit.

A second sequence marks the range: llama.cpp's state of that sequence is then the range alone. The
cache must be unified, so that marking moves no data.
"""

from __future__ import annotations

import ctypes
from typing import Any

from deepseek_r1.core.errors import EngineFailed


class SequenceSnapshot:
    """Reads and writes ranges of sequence 0. For the computing thread."""

    def __init__(self, api: Any, context: Any, sequence: int) -> None:
        """`sequence` is a sequence of the context without cells."""
        self._api, self._context, self._sequence = api, context, sequence
        self._memory = api.llama_get_memory(context)

    def state_bytes(self, first: int, end: int) -> int:
        """Size of the state of positions `first` to `end`."""
        self._mark(first, end)
        try:
            return int(self._api.llama_state_seq_get_size(self._context, self._sequence))
        finally:
            self._unmark()

    def save(self, first: int, end: int, state: memoryview) -> None:
        """Write the state of positions `first` to `end` into `state`. Raises EngineFailed."""
        self._mark(first, end)
        try:
            native = (ctypes.c_uint8 * len(state)).from_buffer(state)
            written = self._api.llama_state_seq_get_data(
                self._context, native, len(state), self._sequence
            )
            del native  # the view can be released again
        finally:
            self._unmark()
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

    def _mark(self, first: int, end: int) -> None:
        self._api.llama_memory_seq_cp(self._memory, 0, self._sequence, first, end)

    def _unmark(self) -> None:
        self._api.llama_memory_seq_rm(self._memory, self._sequence, -1, -1)
