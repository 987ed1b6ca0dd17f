"""Records which tokens the sequences of one KV cache hold, and which cells they share.

A cell may belong to several sequences: a prompt that begins like another one shares its cells in
place of computing them again. A cell is free when no sequence has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count

from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.prompt.prompt_builder import common_length


class SequenceCells:
    """For the computing thread. Lengths are tokens, which is cells of one sequence."""

    def __init__(self, memory: LlamaContext, sequences: int, *, reuses: bool = True) -> None:
        """`reuses`: cells can be shared and truncated, which recurrent models cannot."""
        self._memory, self.reuses = memory, reuses
        self.tokens: list[list[int]] = [[] for _ in range(sequences)]
        """The tokens of each sequence, in order."""
        self._cells: list[list[int]] = [[] for _ in range(sequences)]
        self._holders: Counter[int] = Counter()
        self._numbers = count()

    @property
    def used(self) -> int:
        """Cells in use, shared ones counted once."""
        return len(self._holders)

    def append(self, sequence: int, tokens: Sequence[int]) -> None:
        """Record tokens that were computed."""
        cells = [next(self._numbers) for _ in tokens]
        self.tokens[sequence] += tokens
        self._cells[sequence] += cells
        self._holders.update(cells)

    def truncate(self, sequence: int, length: int) -> None:
        """Keep the first `length` tokens, or none where the model's memory cannot be cut there.

        Also removes what an aborted computation has begun.
        """
        if not self._memory.remove(sequence, length):
            self._memory.remove(sequence, 0)
            length = 0
        for cell in self._cells[sequence][length:]:
            self._holders[cell] -= 1
            if not self._holders[cell]:
                del self._holders[cell]
        del self._cells[sequence][length:]
        del self.tokens[sequence][length:]

    def share(self, source: int, target: int, length: int) -> None:
        """Let `target` begin with the first `length` tokens of `source`, and hold no others."""
        self.truncate(target, 0)
        if not length:
            return
        self._memory.share(source, target, length)
        shared = self._cells[source][:length]
        self._cells[target] = list(shared)
        self.tokens[target] = self.tokens[source][:length]
        self._holders.update(shared)

    def longest_prefix(self, tokens: Sequence[int]) -> tuple[int, int]:
        """Return the sequence that begins most like `tokens`, and how many tokens it shares."""
        if not self.reuses:
            return 0, 0
        lengths = [common_length(held, tokens) for held in self.tokens]
        best = max(range(len(lengths)), key=lengths.__getitem__)
        return best, lengths[best]

    def freed_by(self, sequences: Iterable[int]) -> int:
        """Return the cells that are free once these sequences are removed."""
        held = Counter(cell for sequence in sequences for cell in self._cells[sequence])
        return sum(1 for cell, times in held.items() if times == self._holders[cell])
