"""The times of passes by their rows, and the length of drafts that follows from them.

Rows, the tokens that a pass computes, are not free: only computing that reading hides costs
nothing. What a further row costs depends on the kernels. With those of `binding.mul_mat` it is a
fraction of the first; llama.cpp's take as long for each of the first seven, and compute 8 to 16 of
them, tiled, in nearly the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

_NEW_WEIGHT = 0.25  # of a new pass in the moving average
# What passes take before anything was measured, as multiples of one row.
_STREAMED = ((1, 1.0), (2, 1.06), (7, 1.4), (16, 2.2))
_IN_MEMORY = ((1, 1.0), (2, 1.3), (7, 2.3), (16, 6.0))


class PassTimes:
    """The seconds of a pass by its rows: moving averages of the passes that were computed.

    Rows that were not computed yet are guessed, by the nearest that were. Without any pass the unit
    is a plain pass, one of a single row.
    """

    def __init__(self, *, streams: bool) -> None:
        """`streams`: reading hides most of the computing."""
        self._guess = _STREAMED if streams else _IN_MEMORY
        self._scales: dict[int, float] = {}  # measured seconds against the guess, by rows
        self.plain_passes = 0
        """The number of plain passes that were measured."""

    @property
    def plain_s(self) -> float:
        """The seconds of a plain pass."""
        return self.seconds(1)

    def seconds(self, rows: int) -> float:
        """Return the seconds of a pass with so many rows."""
        nearest = min(self._scales, key=lambda each: abs(each - rows), default=0)
        return self._guessed(rows) * self._scales.get(nearest, 1.0)

    def _guessed(self, rows: int) -> float:
        (before, before_s), *rest = self._guess
        for at, at_s in rest:
            if rows <= at:
                return before_s + (at_s - before_s) * (rows - before) / (at - before)
            before, before_s = at, at_s
        return before_s

    def observe(self, rows: int, seconds: float) -> None:
        """Record a pass."""
        now, before = seconds / self._guessed(rows), self._scales.get(rows)
        self.plain_passes += rows == 1
        self._scales[rows] = now if before is None else before + _NEW_WEIGHT * (now - before)

    def best(self, chances: Sequence[float], draft_token_s: float = 0.0) -> tuple[int, float]:
        """Return the length with which a token takes least, 0 for no draft, and these seconds.

        `chances` are those that each drafted token is kept if all before it are. A draft of n
        tokens brings 1 + c1 + c1 c2 + ... tokens, and costs a pass of 1 + n rows and its drafting,
        `draft_token_s` for each.
        """
        length, least_s = 0, self.plain_s
        tokens = reached = 1.0
        for at, chance in enumerate(chances, start=1):
            reached *= chance
            tokens += reached
            token_s = (self.seconds(1 + at) + at * draft_token_s) / tokens
            if token_s < least_s:
                length, least_s = at, token_s
        return length, least_s
