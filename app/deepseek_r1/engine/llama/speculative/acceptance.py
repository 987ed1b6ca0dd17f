"""Estimates the chance that a drafted token is kept, in buckets that its proposer chooses."""

from __future__ import annotations

from collections.abc import Sequence

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
        """Return the estimated probability that a token of this bucket is kept."""
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

    def reset(self) -> None:
        """Drop all observations."""
        self._kept = [0.0] * len(self._priors)
        self._seen = [0.0] * len(self._priors)
