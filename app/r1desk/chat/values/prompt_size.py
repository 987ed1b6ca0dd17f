"""The tokens that the next message takes, beside the context."""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.core.settings import SamplingSettings

NEARLY_FULL_SHARE = 0.8
RESERVED_SHARE = 4  # one part in so many of the context is kept for the answer


@dataclass(frozen=True, slots=True)
class PromptSize:
    """Tokens of the next message's `text`, of the `history` before it, and of the `reserve`.

    `exact` and `history_exact`: False while the text, or the history, is only estimated.
    """

    text: int
    history: int
    reserve: int
    context: int
    exact: bool = True
    history_exact: bool = True

    @property
    def total(self) -> int:
        """All three."""
        return self.text + self.history + self.reserve

    @property
    def fits(self) -> bool:
        """Whether all three fit into the context."""
        return self.total <= self.context

    @property
    def nearly_full(self) -> bool:
        """Whether they fit, and take more than `NEARLY_FULL_SHARE` of the context."""
        return self.fits and self.total > NEARLY_FULL_SHARE * self.context


def answer_reserve(context_length: int, sampling: SamplingSettings) -> int:
    """The tokens of the context that are kept free for the next answer.

    A quarter of the context, and no more than the longest answer.
    """
    return max(1, min(sampling.max_tokens, context_length // RESERVED_SHARE))
