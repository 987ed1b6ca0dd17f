"""Prefills a prompt in pieces whose borders depend on positions alone.

llama.cpp sums up a token's values in an order that depends on how many tokens are computed
together: many take another kernel than one, and so does what is left over. The differences
are in the last bits, and now and then another token is chosen. So an answer that has to be
reproducible reads its prompt in pieces of one size from position 0 on, and reuses only cells that
were filled so: its bytes do not depend on what the cache held.

Prompts that may be saved to disk are computed in the same pieces, also for answers that need not be
reproducible: what is restored later serves both kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.prompt.common_prefix import common_length

# Up to so many tokens are computed again in each turn. Against pieces of 256 they take 1 % more
# processor time (R1's 1.5B shape in Q4_K_M, 512 tokens, one thread, the least of three runs).
PIECE_TOKENS = 128


class PromptPieces:
    """Keeps and fills sequence 0 of a context in whole pieces. For the computing thread."""

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self.size = min(PIECE_TOKENS, context.params.micro_batch)
        """Tokens of a piece."""

    def length(self, prompt: Sequence[int]) -> int:
        """Return how many tokens of `prompt` are in the cells in whole pieces."""
        same = common_length(self._context.cells, prompt)
        return min(same, self._context.whole_pieces) // self.size * self.size

    def keep_prefix(self, prompt: Sequence[int]) -> int:
        """Drop all cells but the whole pieces that begin `prompt`. Returns how many are kept.

        At least one token is left to compute: the logits after it are needed.
        """
        return self._context.truncate(self.length(prompt[:-1]))

    def drop_others(self, most: int) -> int:
        """Drop the cells after the last whole piece, unless they are more than `most`.

        What is computed next is then in whole pieces too. Returns how many were dropped.
        """
        length = self._context.whole_pieces // self.size * self.size
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
