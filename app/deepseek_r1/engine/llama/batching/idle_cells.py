"""Decides how long the cells of an ended answer stay, for the next turn of its conversation.

Attention looks at all cells in use, and leaves out those of other sequences one by one. So cells
that nobody continues slow every token down: with SmolLM2-135M on two cores seven ended answers of
150 tokens make a token take 1.1 times as long (tests/benchmarks/bench_idle_cells.py). After so many
computed tokens that they have cost what they can save, they are dropped; sooner the fewer prompts
continue an answer, which is measured.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from deepseek_r1.engine.prompt.prompt_builder import common_length

CELL_HEAD_S = 4e-9  # the cost of a cell for a token, in each head of each layer; about 1 us in all
FIRST_WORTH_TOKENS = 4000.0  # as long as the time of a prompt's token is not known
ANSWER_TOKENS = 256  # of the answer that is about to be computed
_FIRST_CONTINUED = 0.5
_WEIGHT = 0.2  # of the latest prompt in the average
_REMEMBERED = 16  # dropped answers, at least
_TEMPLATE_TOKENS = 16  # at a prompt's end, of which the next turn may have none


@dataclass(frozen=True, slots=True)
class EndedAnswer:
    """The tokens with which the next turn begins: the answer's own prompt, and at least half."""

    beginning: array[int]

    def is_continued_by(self, prompt: Sequence[int]) -> bool:
        """Return whether a prompt is the next turn."""
        length = len(self.beginning)
        return length > 0 and common_length(prompt, self.beginning) == length


class IdleCells:
    """Counts for the sequences of one KV cache. For the computing thread."""

    def __init__(self, sequences: int, attention_heads: int) -> None:
        """`attention_heads` are those of all layers."""
        self._cell_s = CELL_HEAD_S * max(1, attention_heads)
        self._continued = _FIRST_CONTINUED  # the share of prompts that continue an ended answer
        self._computed = 0  # tokens so far
        self._released_at = [0] * sequences
        self._prompt_lengths = [0] * sequences
        self._dropped: deque[EndedAnswer] = deque(maxlen=max(_REMEMBERED, 2 * sequences))

    def on_computed(self, tokens: int) -> bool:
        """Count computed tokens of all sequences. Returns whether stale cells should be looked for.

        That is about once in the length of an answer.
        """
        before, self._computed = self._computed, self._computed + tokens
        return before // ANSWER_TOKENS != self._computed // ANSWER_TOKENS

    def on_released(self, sequence: int, prompt_length: int) -> None:
        """Record that the sequence's answer has ended."""
        self._released_at[sequence] = self._computed
        self._prompt_lengths[sequence] = prompt_length

    def ended(self, sequence: int, tokens: Sequence[int]) -> EndedAnswer:
        """Return the ended answer whose tokens are in the sequence's cells."""
        own_prompt = self._prompt_lengths[sequence] - _TEMPLATE_TOKENS
        return EndedAnswer(array("i", tokens[: max(own_prompt, (len(tokens) + 1) // 2)]))

    def on_dropped(self, sequence: int, tokens: Sequence[int]) -> None:
        """Record that the sequence's cells are freed. A prompt that continues them still counts."""
        if tokens:
            self._dropped.append(self.ended(sequence, tokens))

    def on_prompt(self, prompt: Sequence[int], *, continues: bool) -> None:
        """Record a prompt, and whether it continues the cells of an ended answer."""
        known = continues or any(each.is_continued_by(prompt) for each in self._dropped)
        self._continued += _WEIGHT * (float(known) - self._continued)

    def age(self, sequence: int) -> int:
        """Return the tokens that were computed since the sequence's answer has ended."""
        return self._computed - self._released_at[sequence]

    def is_stale(self, sequence: int, token_s: float) -> bool:
        """Return whether the cells will cost more than they save by the end of the next answer.

        `token_s` is the time for a prompt's token, 0 while it is unknown.
        """
        worth_tokens = token_s / self._cell_s if token_s else FIRST_WORTH_TOKENS
        return self.age(sequence) + ANSWER_TOKENS > worth_tokens * self._continued
