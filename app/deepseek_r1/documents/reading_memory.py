"""The memory in which documents are read: what a budget leaves beside everything else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import ceil
from typing import Final

from deepseek_r1.core.errors import BudgetTooSmall, EngineFailed, ModelNotLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.units import in_sentence
from deepseek_r1.documents.errors import DocumentNeedsMemory, DocumentTooLarge
from deepseek_r1.memory.meter import tree_mib

_KERNEL_MIB: Final = 16.0  # page tables, and pages of the file
MEMORY_MIB: Final = ChildKind.DOCUMENTS.value.memory_mib  # the most that one document gets


class ReadingMemory:
    """Any thread. One object for all readers beside one model."""

    def __init__(
        self,
        budget_mib: Callable[[], float] = lambda: float("inf"),
        reduce_weights: Callable[[float], bool] = lambda _mib: False,
    ) -> None:
        """`budget_mib` is that of this process and all below it.

        `reduce_weights` lets the weights of a model have that many MiB less than its bill has,
        until it is called again, and returns whether they do: those that all stay in memory cannot.
        Raises BudgetTooSmall.
        """
        self._budget_mib, self._set_reduction = budget_mib, reduce_weights
        self._changing, self._reduction_mib = threading.Lock(), 0

    def left_mib(self) -> float:
        """The budget without what is used now, by readers too; below 0 where it is full."""
        budget_mib = self._budget_mib()
        return budget_mib - tree_mib() if budget_mib < float("inf") else budget_mib

    @contextmanager
    def for_reader(self, name: str, needed_mib: int, most_mib: int = MEMORY_MIB) -> Iterator[int]:
        """Yield the MiB that the reader of a document may take, at least `needed_mib`.

        Beyond that it gets what is free, up to `most_mib`. Raises DocumentNeedsMemory where the
        budget does not leave what it needs.
        """
        needed_mib = min(needed_mib, MEMORY_MIB)
        reduction_mib, left_mib, more = 0, 0.0, True
        try:
            while more and left_mib < needed_mib:
                wanted_mib = ceil(needed_mib - left_mib)
                got_mib = self._reduce_weights(wanted_mib)
                reduction_mib, more = reduction_mib + got_mib, got_mib == wanted_mib
                left_mib = self.left_mib() - _KERNEL_MIB
            if left_mib < needed_mib:
                raise self._refusal(name, needed_mib, left_mib)
            # Weights that were not read yet will take what is left beyond the bill.
            yield needed_mib if reduction_mib else max(needed_mib, int(min(left_mib, most_mib)))
        finally:
            with suppress(ModelNotLoaded, EngineFailed):  # it was closed meanwhile
                self._reduce_weights(-reduction_mib)

    def _reduce_weights(self, more_mib: int) -> int:
        """Reduce them by so much more, or by what the bill allows; returns by how much."""
        with self._changing:
            try:
                reduces = self._set_reduction(self._reduction_mib + more_mib)
            except BudgetTooSmall as refused:  # cells without tokens are in the bill, but are free
                short_mib = ceil(float(refused.facts["needed_mib"]) - self._budget_mib())
                more_mib = max(0, more_mib - short_mib)
                reduces = self._set_reduction(self._reduction_mib + more_mib)
            more_mib = more_mib if reduces else 0
            self._reduction_mib += more_mib
            return more_mib

    def _refusal(self, name: str, needed_mib: int, left_mib: float) -> DocumentNeedsMemory:
        budget_mib = self._budget_mib()
        text = tr(
            "Reading it takes {needed}, and the memory budget of {budget} has {left} left.",
            needed=in_sentence(needed_mib, up=True),
            budget=in_sentence(budget_mib),
            left=in_sentence(max(0, int(left_mib))),
        )
        enough = in_sentence(ceil(budget_mib + needed_mib - left_mib), up=True)
        todo = tr("Raise the budget to {enough}.", enough=enough)
        return DocumentNeedsMemory(name=name, detail=text, todo=todo)

    def too_much(self, name: str, had_mib: int) -> DocumentTooLarge | DocumentNeedsMemory:
        """The refusal of a document that would take more than the `had_mib` of its reader."""
        detail = tr("Reading it takes more than {had} of memory.", had=in_sentence(had_mib))
        if had_mib >= MEMORY_MIB or (budget_mib := self._budget_mib()) == float("inf"):
            return DocumentTooLarge(name=name, detail=detail)
        todo = tr(
            "With a memory budget of {enough} it gets {most}, the most a document may take.",
            enough=in_sentence(ceil(budget_mib) + MEMORY_MIB - had_mib, up=True),
            most=in_sentence(MEMORY_MIB),
        )
        return DocumentNeedsMemory(name=name, detail=detail, todo=todo)
