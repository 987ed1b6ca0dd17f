"""The presets of an empty conversation as cards."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QToolButton, QWidget

from r1desk.chat.text.buttons import text_button
from r1desk.theme import set_role
from r1desk.widgets.layouts import discard
from r1desk.widgets.text_label import call_with

_MOST = 8  # the others are in the menu
_COLUMNS = 2


class PresetCards(QWidget):
    """A card for each of the first presets; that of the conversation is marked.

    Signals:
        chosen: the place of a preset.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.cards: list[QToolButton] = []
        self._grid = QGridLayout(self)
        em = self.fontMetrics().height()
        self._grid.setContentsMargins(0, em // 2, 0, 0)
        self._grid.setSpacing(round(em * 0.5))

    def show_presets(self, presets: Sequence[tuple[str, str]], current: int | None) -> None:
        """Show presets by their names and icons; None: the conversation has settings of its own."""
        shown = presets[:_MOST]
        if [name for name, _ in shown] != [card.text() for card in self.cards]:
            discard(*self.cards)
            self.cards = [self._card(at, *preset) for at, preset in enumerate(shown)]
        for at, card in enumerate(self.cards):
            card.setChecked(at == current)

    def _card(self, at: int, name: str, sign: str) -> QToolButton:
        card = text_button(sign, name, self)
        set_role(card, "choice")
        card.setCheckable(True)
        card.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        card.setMinimumSize(self.fontMetrics().height() * 12, self.fontMetrics().height() * 2)
        call_with(card.clicked, self.chosen.emit, at)
        self._grid.addWidget(card, at // _COLUMNS, at % _COLUMNS)
        return card
