"""Whether a model's weights are streamed, and what is said where that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from deepseek_r1.core.errors import BudgetTooSmall, ModelLoadFailed
from deepseek_r1.core.words import tr
from deepseek_r1.engine.base import OpenRequest
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.memory.costs import chunk_bytes
from deepseek_r1.weights.residency import ResidencyTooSmall
from deepseek_r1.weights.streamed import StreamedWeights, WeightsUnreadableError


def streamed_weights(library: Library, request: OpenRequest) -> StreamedWeights | None:
    """What holds the weights of a model that does not fit; None for one that does.

    Raises BudgetTooSmall, ModelLoadFailed, StreamingUnavailable.
    """
    if request.weights_mib is None:
        return None
    try:
        with small_budgets_told(request.settings.memory_budget):
            return StreamedWeights(
                library.api._lib,
                request.header,
                request.weights_mib,
                strategy=request.settings.cache_strategy,
                chunk_bytes=chunk_bytes(request.settings),
            )
    except WeightsUnreadableError as error:
        raise ModelLoadFailed(path=str(request.header.path), detail=str(error)) from error


@contextmanager
def small_budgets_told(budget_mib: int) -> Iterator[None]:
    """Tells in the user's words that not even two slots fit."""
    try:
        yield
    except ResidencyTooSmall as error:
        more = ceil(error.needed_mib - error.given_mib)
        raise BudgetTooSmall(
            needed_mib=budget_mib + more,
            budget_mib=budget_mib,
            weights_mib=ceil(error.needed_mib),
            kv_mib="?",
            rest_mib="?",
            advice=tr("It needs a budget of at least {needed:,} MiB.", needed=budget_mib + more),
        ) from error
