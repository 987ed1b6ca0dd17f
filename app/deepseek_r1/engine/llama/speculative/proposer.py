"""The interface of a proposer, which drafts tokens that one pass then verifies.

A model that runs from the disk is read once for each pass, whether a pass computes one token or
five. So drafted tokens are computed along with the chosen token, and kept as far as the sampler
then chooses the same. The sampler gets the same logits as without them: a wrong draft costs time
and never changes the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_PRIOR_WEIGHT = 6.0  # observations that the prior counts for
_MOST_WEIGHT = 60.0  # older observations fade beyond this number
_FADE = 0.995  # the weight that observations keep for each token decoded without a draft
_USUAL = 0.7  # the share of kept tokens that is assumed at first


class AcceptanceTable:
    """The moving shares of kept tokens in buckets, each with a prior that observations replace."""

    def __init__(self, priors: Sequence[float]) -> None:
        self._priors = (*priors, _USUAL)
        self._kept = [0.0] * len(self._priors)
        self._seen = [0.0] * len(self._priors)

    def chance(self, bucket: int) -> float:
        kept = self._kept[bucket] + _PRIOR_WEIGHT * self._priors[bucket]
        return kept / (self._seen[bucket] + _PRIOR_WEIGHT)

    @property
    def usual(self) -> float:
        """The estimated probability that a token is kept, whatever its bucket."""
        return self.chance(-1)

    def observe_draft(self, buckets: Sequence[int], kept: int) -> None:
        """Record a draft of which the first `kept` tokens were kept and the next one was not."""
        for depth, bucket in enumerate(buckets[: kept + 1]):
            self._observe(bucket, kept=depth < kept)
            self._observe(-1, kept=depth < kept)

    def _observe(self, bucket: int, *, kept: bool) -> None:
        if self._seen[bucket] >= _MOST_WEIGHT:
            self._kept[bucket] *= 1 - 1 / _MOST_WEIGHT
            self._seen[bucket] *= 1 - 1 / _MOST_WEIGHT
        self._kept[bucket] += kept
        self._seen[bucket] += 1

    def fade(self) -> None:
        """Let observations count less, so that drafts that failed long ago are tried again."""
        self._kept = [_FADE * each for each in self._kept]
        self._seen = [_FADE * each for each in self._seen]


_NEW_WEIGHT = 0.25  # of a new pass in the moving average
# What passes take before anything was measured, as multiples of one row.
_STREAMED = ((1, 1.0), (2, 1.06), (7, 1.4), (16, 2.2))
_IN_MEMORY = ((1, 1.0), (2, 1.3), (7, 2.3), (16, 6.0))


class PassTimes:
    """The seconds of a pass by its rows: moving averages of the passes that were computed.

    Rows are not free: only computing that reading hides costs nothing. With the kernels of
    `binding.kernels` a further one costs a fraction of the first; llama.cpp's take as long for each
    of the first seven, and compute 8 to 16 of them, tiled, in nearly the same time.

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
        return self.seconds(1)

    def seconds(self, rows: int) -> float:
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


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that may follow the text.

    `chances` are the estimated probabilities that each is chosen where all before it were, and
    `buckets` the rows of the acceptance table that they come from.
    """

    tokens: tuple[int, ...] = ()
    chances: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def shortened(self, length: int) -> Draft:
        return Draft(self.tokens[:length], self.chances[:length], self.buckets[:length])


class Proposer(Protocol):
    """Drafts tokens for one growing text. For the computing thread."""

    table: AcceptanceTable  # of its drafts

    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer to `prompt`.

        Where the answer has to be `reproducible`, drafts depend on nothing but the prompt and the
        answer itself.
        """

    def observe(self, tokens: Sequence[int]) -> None:
        """Append tokens that the sampler chose."""

    def expected_s(self, times: PassTimes, most: int) -> float:
        """Return the seconds that a token is expected to take with a draft of this proposer."""

    def propose(self, times: PassTimes, most: int) -> Draft:
        """Draft up to `most` tokens, as many as are worth verifying by the `times` of passes.

        Raises AbortedError, EngineFailed.
        """
