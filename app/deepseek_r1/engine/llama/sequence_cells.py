"""The sequences of one KV cache: their tokens, the cells they share, and how long these stay.

A cell may belong to several sequences: a prompt that begins like another one shares its cells in
place of computing them again. A cell is free when no sequence has it.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
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
        return len(self._holders)

    def append(self, sequence: int, tokens: Sequence[int]) -> None:
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


CELL_HEAD_S = 4e-9  # the cost of a cell for a token, in each head of each layer; about 1 us in all
FIRST_WORTH_TOKENS = 4000.0  # as long as the time of a prompt's token is not known
ANSWER_TOKENS = 256  # of the answer that is about to be computed
_FIRST_CONTINUED = 0.5
_WEIGHT = 0.2  # of the latest prompt in the average
_REMEMBERED = 16  # dropped answers, at least
_TEMPLATE_TOKENS = 16  # at a prompt's end, of which the next turn may have none


class IdleCells:
    """Decides how long the cells of an ended answer stay, for the next turn of its conversation.

    Attention looks at all cells in use, and leaves out those of other sequences one by one: with
    SmolLM2-135M on two cores seven ended answers of 150 tokens make a token take 1.1 times as long.
    After so many computed tokens that cells have cost what they can save, they are dropped; sooner
    the fewer prompts continue an answer, which is measured. For the computing thread.
    """

    def __init__(self, cells: SequenceCells, attention_heads: int) -> None:
        """`attention_heads` are those of all layers."""
        self._cells, sequences = cells, len(cells.tokens)
        self._cell_s = CELL_HEAD_S * max(1, attention_heads)
        self._continued = _FIRST_CONTINUED  # the share of prompts that continue an ended answer
        self._computed = 0  # tokens so far
        self._released_at = [0] * sequences
        self._prompt_lengths = [0] * sequences
        self._dropped: deque[array[int]] = deque(maxlen=max(_REMEMBERED, 2 * sequences))

    def on_computed(self, tokens: int) -> bool:
        """Count computed tokens of all sequences. Returns whether stale cells should be looked for.

        That is about once in the length of an answer.
        """
        before, self._computed = self._computed, self._computed + tokens
        return before // ANSWER_TOKENS != self._computed // ANSWER_TOKENS

    def on_released(self, sequence: int, prompt_length: int) -> None:
        self._released_at[sequence] = self._computed
        self._prompt_lengths[sequence] = prompt_length

    def _beginning(self, sequence: int) -> array[int]:
        """The next turn begins with the ended answer's own prompt, and at least half of it all."""
        tokens = self._cells.tokens[sequence]
        own_prompt = self._prompt_lengths[sequence] - _TEMPLATE_TOKENS
        return array("i", tokens[: max(own_prompt, (len(tokens) + 1) // 2)])

    def is_continued_by(self, sequence: int, prompt: Sequence[int]) -> bool:
        """Return whether a prompt is the next turn after the sequence's ended answer."""
        return _continues(prompt, self._beginning(sequence))

    def on_dropped(self, sequence: int) -> None:
        """Record that the sequence's cells are freed. A prompt that continues them still counts."""
        if beginning := self._beginning(sequence):
            self._dropped.append(beginning)

    def on_prompt(self, prompt: Sequence[int], *, continues: bool) -> None:
        """Record a prompt, and whether it continues the cells of an ended answer."""
        known = continues or any(_continues(prompt, each) for each in self._dropped)
        self._continued += _WEIGHT * (float(known) - self._continued)

    def age(self, sequence: int) -> int:
        return self._computed - self._released_at[sequence]

    def is_stale(self, sequence: int, token_s: float) -> bool:
        """Return whether the cells will cost more than they save by the end of the next answer.

        `token_s` is the time for a prompt's token, 0 while it is unknown.
        """
        worth_tokens = token_s / self._cell_s if token_s else FIRST_WORTH_TOKENS
        return self.age(sequence) + ANSWER_TOKENS > worth_tokens * self._continued


def _continues(prompt: Sequence[int], beginning: Sequence[int]) -> bool:
    return 0 < len(beginning) == common_length(prompt, beginning)
