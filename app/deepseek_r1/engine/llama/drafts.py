"""What may come next, guessed from what was said before: a context's own repetitions.

A model that runs from the disk is read once for each pass, whether a pass computes one token or
five. So tokens that followed the last three the time before are computed along with the token that
was chosen, and kept as far as the sampler then chooses the same. The sampler sees what it would
have seen without them: a wrong guess costs time, never truth. (Prompt lookup decoding, after
A. Saxena, 2023.) Whether it pays is measured while writing.
"""

from __future__ import annotations

from collections.abc import Sequence

_LENGTH = 3  # of what must repeat
_NEW_WEIGHT = 0.25  # of one pass against what is remembered
_REST_TOKENS = 48  # written without drafts where they did not pay
_TRIAL_PASSES = 3  # what a judgement needs


class Repetitions:
    """Finds the last place in a growing text that had the same three tokens as its end."""

    def __init__(self) -> None:
        self._behind: dict[tuple[int, ...], int] = {}  # the position behind the last three tokens
        self._known = _LENGTH - 1

    def guess(self, before: Sequence[int], token: int, most: int) -> list[int]:
        """Up to `most` tokens that followed on these: all tokens `before`, and `token`."""
        length = len(before)
        for end in range(self._known, length):
            self._behind[tuple(before[end - _LENGTH + 1 : end + 1])] = end + 1
        self._known = max(self._known, length)
        at = self._behind.get((*before[max(0, length - _LENGTH + 1) :], token))
        if at is None:
            return []
        return [*before[at : at + most], token][:most]  # of two that overlap, on with the same


class DraftPace:
    """Whether drafted passes bring tokens faster than plain ones. Seconds."""

    def __init__(self) -> None:
        self._plain_s = 0.0
        self._drafted_s = 0.0  # of a pass with drafts
        self._gained = 0.0  # tokens it brought
        self._passes = 0  # with drafts, since they were last tried
        self._rest = 0  # tokens until they are tried again

    @property
    def pays(self) -> bool:
        """True while drafts are worth their computing, or not tried yet."""
        return self._plain_s > 0 and not self._rest

    def saw_plain(self, seconds: float) -> None:
        """A pass computed one token."""
        self._plain_s = _mixed(self._plain_s, seconds)
        self._rest = max(0, self._rest - 1)

    def saw_drafted(self, seconds: float, gained: int) -> None:
        """A pass with drafts brought `gained` tokens, one at least."""
        self._drafted_s = _mixed(self._drafted_s, seconds)
        self._gained = _mixed(self._gained, gained)
        self._passes += 1
        if self._passes >= _TRIAL_PASSES and self._drafted_s > self._plain_s * self._gained:
            self._rest, self._passes = _REST_TOKENS, 0
            self._drafted_s = self._gained = 0.0


def _mixed(before: float, now: float) -> float:
    return before + _NEW_WEIGHT * (now - before) if before else now
