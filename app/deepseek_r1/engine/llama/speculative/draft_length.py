"""Chooses how many tokens to draft: as many as save more seconds than they cost."""

from __future__ import annotations

from collections.abc import Sequence

from deepseek_r1.engine.llama.speculative.row_curve import RowCurve

_AVERAGED_TOKENS = 100.0  # over which the speed of decoding is averaged


class LengthRule:
    """Weighs the tokens that a draft is expected to bring against the seconds that it costs.

    A draft of n tokens with the chances c1, c2, ... is expected to bring c1 + c1 c2 + ... tokens,
    each of which saves what a token takes at present. It costs what a pass with 1 + n rows takes
    above one with a single row, and what drafting itself takes. The length is the one whose
    difference is largest, zero included.
    """

    def __init__(self, curve: RowCurve) -> None:
        self.curve = curve
        self._tokens = self._seconds = 0.0

    def restart(self, curve: RowCurve) -> None:
        """Begin anew with another curve, because passes take another time from now on."""
        self.curve = curve
        self._tokens = self._seconds = 0.0

    @property
    def token_s(self) -> float:
        """The seconds that a token takes at present, drafts included."""
        plain_s = self.curve.seconds(1)
        return (self._seconds + plain_s) / (self._tokens + 1)

    @property
    def most(self) -> int:
        """The longest draft whose cost is known."""
        return self.curve.most_rows - 1

    def best(self, chances: Sequence[float], draft_token_s: float = 0.0) -> tuple[int, float]:
        """Return the best length up to that of `chances`, and the seconds that it saves."""
        best, saved_s, expected, reached = 0, 0.0, 0.0, 1.0
        token_s, plain_s = self.token_s, self.curve.seconds(1)
        for length, chance in enumerate(chances[: self.most], start=1):
            reached *= chance
            expected += reached
            cost_s = self.curve.seconds(1 + length) - plain_s + length * draft_token_s
            if expected * token_s - cost_s > saved_s:
                best, saved_s = length, expected * token_s - cost_s
        return best, saved_s

    def goes_on(
        self, chances: Sequence[float], usual: float, draft_token_s: float, most: int
    ) -> bool:
        """Return whether to draft more tokens after those with `chances`, up to `most` in all.

        Further tokens are assumed to have the `usual` chance. The time of the tokens that are
        drafted already is spent, so it does not count.
        """
        _, as_it_is_s = self.best(chances)
        further = [*chances, *[usual] * (min(most, self.most) - len(chances))]
        length, longer_s = self.best(further)
        more = length - len(chances)
        return more > 0 and longer_s - more * draft_token_s > as_it_is_s

    def observe(self, tokens: int, seconds: float) -> None:
        """Record the tokens that a pass brought, and its seconds with its drafting."""
        fade = max(0.0, 1 - tokens / _AVERAGED_TOKENS)
        self._tokens = self._tokens * fade + tokens
        self._seconds = self._seconds * fade + seconds


class LossGuard:
    """Stops drafting where it loses time, so that drafts never cost more than a few tokens' time.

    The loss since it was last zero is counted in plain tokens' time: what passes with drafts took,
    less one for each token that they brought. Gains are not saved up. At the limit, drafting rests.
    So any 200 tokens take at most 1/0.97 of their time without drafts.
    """

    LIMIT_TOKENS = 3.0
    REST_TOKENS = 200

    def __init__(self) -> None:
        self._loss = 0.0
        self._rest = 0

    @property
    def resting(self) -> bool:
        """Whether drafting rests."""
        return self._rest > 0

    def observe_plain(self, tokens: int = 1) -> None:
        """Record tokens that were decoded without drafts."""
        self._rest = max(0, self._rest - tokens)

    def observe_drafted(self, cost: float, brought: int) -> None:
        """Record a pass with drafts: its `cost`, in plain tokens, and the tokens it brought."""
        self._loss = max(0.0, self._loss + cost - brought)
        if self._loss > self.LIMIT_TOKENS:
            self._loss, self._rest = 0.0, self.REST_TOKENS
