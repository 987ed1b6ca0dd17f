"""Formulas for a thread other than the window's: layouts that the formula service has settled."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QObject, Signal

from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines
from r1desk.chat.formulas.formula_painter import FormulaPainter
from r1desk.chat.formulas.formula_service import FormulaKey


class SettledFormulas(QObject):
    """Stands in for a `FormulaService` in the thread that makes it. It never asks for a layout.

    Signals:
        settled: never emitted.
    """

    settled = Signal(object)

    def __init__(self, outlines: GlyphOutlines) -> None:
        """`outlines` are those of the service that the layouts come from."""
        super().__init__()
        self.outlines = outlines
        self.painter = FormulaPainter(outlines)
        self._layouts: Mapping[FormulaKey, FormulaLayout | None] = {}

    def use(self, layouts: Mapping[FormulaKey, FormulaLayout | None]) -> None:
        """Know these layouts in place of those before."""
        self._layouts = layouts

    def is_settled(self, _key: FormulaKey) -> bool:
        """True: what has no layout here stays source."""
        return True

    def layout(self, key: FormulaKey) -> FormulaLayout | None:
        """The layout of `key`; None where there is none."""
        return self._layouts.get(key)

    def request(self, _key: FormulaKey) -> None:
        """Do nothing."""

    def prepare(self) -> None:
        """Do nothing."""
