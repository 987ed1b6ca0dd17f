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

from deepseek_r1.engine.llama.speculative.pass_times import PassTimes


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
        """Return a draft of the first `length` tokens."""
        return Draft(self.tokens[:length], self.chances[:length], self.buckets[:length])


class Proposer(Protocol):
    """Drafts tokens for one growing text. For the computing thread."""

    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer to `prompt`.

        Where the answer has to be `reproducible`, drafts depend on nothing but the prompt and the
        answer itself.
        """
        ...

    def observe(self, tokens: Sequence[int]) -> None:
        """Append tokens that the sampler chose."""
        ...

    def expected_s(self, times: PassTimes, most: int) -> float:
        """Return the seconds that a token is expected to take with a draft of this proposer."""
        ...

    def propose(self, times: PassTimes, most: int) -> Draft:
        """Draft up to `most` tokens, as many as are worth verifying by the `times` of passes.

        Raises AbortedError, EngineFailed.
        """
        ...

    def on_verified(self, draft: Draft, kept: int) -> None:
        """Record that the sampler chose the first `kept` tokens of a draft, and not the next."""
        ...

    def on_plain(self) -> None:
        """Record that a token was decoded without a draft."""
        ...
