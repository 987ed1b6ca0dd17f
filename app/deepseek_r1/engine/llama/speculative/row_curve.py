"""The row curve: the time of a pass by the number of tokens (rows) that it computes.

Rows are not free: only computing that reading hides costs nothing. What a further row costs depends
on the kernels. With those of `engine.llama.mul_mat` it is a fraction of the first; llama.cpp's take
as long for each of the first seven, and compute 8 to 16 of them, tiled, in nearly the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# llama.cpp's tiled kernel begins at 8 rows, or at 13 where `engine.llama.mul_mat` has AVX2 only.
MEASURED_ROWS = (1, 2, 4, 7, 12, 16)
_NEW_WEIGHT = 0.25  # of a new pass in the moving average
# A curve before anything was measured, as multiples of one row; longer drafts wait for measurement.
_GUESS = {1: 1.0, 2: 1.06, 7: 1.4}


def pass_s(read_s: float, compute_s: float, unhidden: float) -> float:
    """Return the seconds of a pass in which all but a share of the shorter part is hidden."""
    return max(read_s, compute_s) + unhidden * min(read_s, compute_s)


class RowCurve:
    """The seconds of a pass by its rows, interpolated between the rows that were measured."""

    def __init__(
        self, compute_s: Mapping[int, float], read_s: float = 0.0, unhidden: float = 0.0
    ) -> None:
        """`read_s`: the seconds of reading the streamed weights of a pass; 0 without any.

        A pass takes as long as the longer of reading and computing, and `unhidden`, a share, of the
        shorter. More rows never take less: where they seem to, something else held the fewer up.
        """
        points: list[tuple[int, float]] = []
        for rows, seconds in sorted(compute_s.items(), reverse=True):
            points.append((rows, min(seconds, points[-1][1] if points else seconds)))
        self._points: Sequence[tuple[int, float]] = points[::-1]
        self._read_s, self._unhidden = read_s, unhidden

    @property
    def most_rows(self) -> int:
        """The most rows that were measured."""
        return self._points[-1][0]

    @property
    def ready(self) -> bool:
        """Whether `seconds` can be used yet."""
        return True

    def seconds(self, rows: int) -> float:
        """Return the seconds of a pass with so many rows."""
        return pass_s(self._read_s, self._compute_s(rows), self._unhidden)

    def _compute_s(self, rows: int) -> float:
        (before, before_s), *rest = self._points
        for at, at_s in rest:
            if rows <= at:
                return before_s + (at_s - before_s) * max(0, rows - before) / (at - before)
            before, before_s = at, at_s
        return before_s

    def observe(self, rows: int, seconds: float) -> None:
        """Do nothing: a stored curve stays as it is, so that drafts do not depend on the clock."""


GUESSED_CURVE = RowCurve(_GUESS)  # in units of one pass


class LiveRowCurve(RowCurve):
    """A row curve that follows the passes of this run, from a stored curve or from a guess."""

    def __init__(self, stored: RowCurve | None = None) -> None:
        super().__init__(_GUESS)
        self._stored = stored
        self._scales: dict[int, float] = {}  # measured seconds against the curve's, by rows

    @property
    def most_rows(self) -> int:
        """The most rows that the curve covers."""
        return self._stored.most_rows if self._stored is not None else super().most_rows

    @property
    def ready(self) -> bool:
        """Whether a pass with one row was measured in this run."""
        return 1 in self._scales

    def seconds(self, rows: int) -> float:
        """Return the seconds of a pass with so many rows, as the nearest measured rows suggest."""
        nearest = min(self._scales, key=lambda each: abs(each - rows), default=0)
        return self._base_s(rows) * self._scales.get(nearest, 1.0)

    def _base_s(self, rows: int) -> float:
        return self._stored.seconds(rows) if self._stored is not None else super().seconds(rows)

    def observe(self, rows: int, seconds: float) -> None:
        """Record a pass."""
        now, before = seconds / self._base_s(rows), self._scales.get(rows)
        self._scales[rows] = now if before is None else before + _NEW_WEIGHT * (now - before)
