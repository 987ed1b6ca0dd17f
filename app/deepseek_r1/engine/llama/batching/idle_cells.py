"""Decides how long the cells of an ended answer stay, for the next turn of its conversation.

Attention looks at all cells in use, and leaves out those of other sequences one by one. So cells
that nobody continues slow every token down: with SmolLM2-135M on two cores seven ended answers of
150 tokens made a token take 1.13 times as long, about 1 us for each cell
(tests/benchmarks/bench_idle_cells.py), where computing a token of a prompt anew takes 4 ms. So idle
cells have cost as much as they can save after some thousand computed tokens, and sooner the fewer
prompts continue an answer, which is measured.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from deepseek_r1.engine.common_prefix import common_length

WORTH_TOKENS = 4000.0  # computed, until cells that are certainly continued have cost what they save
ANSWER_TOKENS = 256  # of the answer that is about to be computed
_FIRST_CONTINUED = 0.5
_WEIGHT = 0.2  # of the latest prompt in the average
_REMEMBERED = 16  # dropped sequences


class IdleCells:
    """Counts for the sequences of one KV cache. For the computing thread."""

    def __init__(self, sequences: int) -> None:
        self._continued = _FIRST_CONTINUED  # the share of prompts that continue an ended answer
        self._computed = 0  # tokens so far
        self._released_at = [0] * sequences
        self._dropped: deque[list[int]] = deque(maxlen=_REMEMBERED)

    def on_computed(self, tokens: int) -> None:
        """Count computed tokens of all sequences."""
        self._computed += tokens

    def on_released(self, sequence: int) -> None:
        """Record that the sequence's answer has ended."""
        self._released_at[sequence] = self._computed

    def on_dropped(self, tokens: list[int]) -> None:
        """Record the tokens of cells that were freed. A prompt that continues them still counts."""
        self._dropped.append(tokens)

    def on_prompt(self, prompt: Sequence[int], *, continues: bool) -> None:
        """Record a prompt, and whether it continues the cells of an ended answer."""
        known = continues or any(continued_by(prompt, tokens) for tokens in self._dropped)
        self._continued += _WEIGHT * (float(known) - self._continued)

    def age(self, sequence: int) -> int:
        """Return the tokens that were computed since the sequence's answer has ended."""
        return self._computed - self._released_at[sequence]

    def is_stale(self, sequence: int) -> bool:
        """Return whether the cells will cost more than they save by the end of the next answer."""
        return self.age(sequence) + ANSWER_TOKENS > WORTH_TOKENS * self._continued


def continued_by(prompt: Sequence[int], tokens: Sequence[int]) -> bool:
    """Return whether a prompt begins with at least the first half of an ended answer's tokens."""
    return bool(tokens) and 2 * common_length(tokens, prompt) >= len(tokens)
