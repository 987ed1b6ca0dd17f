"""Chooses how many tokens of prompts a step computes while other answers are written."""

from __future__ import annotations

from typing import Final

DELAY_S: Final = 0.3  # by which prompts may prolong a step
LEAST_TOKENS: Final = 16
_NEW_WEIGHT: Final = 0.25  # of a new step in the moving average


class PrefillShare:
    """The number of prompt tokens in one step, by what they took so far.

    Only the time counts by which they prolong a step: where weights are read from the disk, many
    tokens take hardly longer than none. What more tokens would take is not known, so the number at
    most doubles from step to step.
    """

    def __init__(self) -> None:
        self.tokens = LEAST_TOKENS
        """The most tokens of the next step."""
        self._measured = False
        self._plain_s = 0.0  # of a step without prompts; 0: there was none
        self._shortest_s = 0.0  # of all steps so far: stands for it until then

    def observe(self, prompt_tokens: int, seconds: float, *, alone: bool) -> None:
        """Record a step of `seconds` with so many tokens of prompts.

        `alone`: no answer was written in it, so it had as many tokens as there were. It counts as
        long as there was no other: with many tokens little of the reading is left to hide them.
        """
        if not prompt_tokens:
            weight = _NEW_WEIGHT if self._plain_s else 1.0
            self._plain_s += weight * (seconds - self._plain_s)
        elif prompt_tokens >= LEAST_TOKENS and not (alone and self._measured):
            self._set_tokens(prompt_tokens, seconds - (self._plain_s or self._shortest_s))
        self._shortest_s = min(self._shortest_s or seconds, seconds)

    def _set_tokens(self, observed: int, longer_s: float) -> None:
        most = 2 * observed if self._measured else round(observed * DELAY_S / longer_s)
        fitting = round(observed * DELAY_S / longer_s) if longer_s > 0 else most
        self.tokens = max(LEAST_TOKENS, min(fitting, most))
        self._measured = True
