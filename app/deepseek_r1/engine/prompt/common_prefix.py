"""Compares the beginnings of token sequences."""

from __future__ import annotations

from collections.abc import Sequence


def common_length(ones: Sequence[int], others: Sequence[int]) -> int:
    """Return how many of the first tokens are the same."""
    shorter = min(len(ones), len(others))
    return next((i for i in range(shorter) if ones[i] != others[i]), shorter)
