"""Chooses how many tokens of prompts a step computes while other answers are written."""

from __future__ import annotations

from typing import Final

DELAY_S: Final = 0.3  # by which prompts may prolong a step,
DELAY_SHARE: Final = 0.1  # or this share of a step that takes long anyway
LEAST_TOKENS: Final = 16
_NEW_WEIGHT: Final = 0.25  # of a step without prompts in the moving average
_NEW_TOKEN_WEIGHT: Final = 0.5  # of a step with prompts


class PrefillShare:
    """The number of prompt tokens in one step, by what they took so far.

    Only the time counts by which they prolong a step: where weights are read from the disk, many
    tokens take hardly longer than none. What more tokens would take is not known, so the number at
    most doubles from step to step.
    """

    def __init__(self) -> None:
        self.tokens = LEAST_TOKENS
        """The most tokens of the next step."""
        self._token_s: float | None = None  # by which a token prolongs a step
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
        elif prompt_tokens >= LEAST_TOKENS and not (alone and self._token_s is not None):
            self._set_tokens(prompt_tokens, seconds)
        self._shortest_s = min(self._shortest_s or seconds, seconds)

    def _set_tokens(self, observed: int, seconds: float) -> None:
        plain_s = self._plain_s or self._shortest_s
        token_s = max(0.0, seconds - plain_s) / observed
        if self._token_s is not None:
            token_s = self._token_s + _NEW_TOKEN_WEIGHT * (token_s - self._token_s)
        self._token_s = token_s
        most = max(self.tokens, 2 * observed)
        fitting = max(DELAY_S, DELAY_SHARE * plain_s) / token_s if token_s else most
        self.tokens = max(LEAST_TOKENS, round(min(fitting, most)))
