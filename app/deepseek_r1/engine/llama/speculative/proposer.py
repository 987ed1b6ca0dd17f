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

from deepseek_r1.engine.llama.speculative.draft_length import LengthRule


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that may follow the text.

    `chances` are the estimated probabilities that each is chosen where all before it were, and
    `buckets` the rows of the acceptance table that they come from. `computed` tokens were computed
    to make the draft.
    """

    tokens: tuple[int, ...] = ()
    chances: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    computed: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def shortened(self, length: int) -> Draft:
        """Return a draft of the first `length` tokens."""
        return Draft(
            self.tokens[:length], self.chances[:length], self.buckets[:length], self.computed
        )


class Proposer(Protocol):
    """Drafts tokens for one growing text. For the computing thread."""

    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer to `prompt`.

        Where the answer has to be `reproducible`, drafts depend on nothing but the prompt and the
        answer itself.
        """
        ...

    @property
    def token_s(self) -> float:
        """The seconds that drafting one token takes."""
        ...

    def observe(self, tokens: Sequence[int]) -> None:
        """Append tokens that the sampler chose."""
        ...

    def expected_s(self, rule: LengthRule, most: int) -> float:
        """Return the seconds that a draft is expected to save; 0 where none is worthwhile."""
        ...

    def propose(self, rule: LengthRule, most: int) -> Draft:
        """Draft up to `most` tokens, as many as `rule` finds worth verifying.

        Raises AbortedError, EngineFailed.
        """
        ...

    def on_verified(self, draft: Draft, kept: int) -> None:
        """Record that the sampler chose the first `kept` tokens of a draft, and not the next."""
        ...

    def on_plain(self) -> None:
        """Record that a token was decoded without a draft."""
        ...
