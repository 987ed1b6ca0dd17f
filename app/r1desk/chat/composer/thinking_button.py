"""The thinking budget of the next answer: a flat button with a menu."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QInputDialog, QMenu, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import THINKING_BUDGETS
from r1desk.chat.values.duration import budget_cost, budget_name, duration_text
from r1desk.theme.fonts import scaled
from r1desk.theme.icons import icon

_FONT_SCALE = 0.85
_FIRST_NUMBER = 1_024
_MOST = 1_048_576


class ThinkingButton(QToolButton):
    """Shows the budget in force; hidden for a model that does not think.

    Signals:
        budget_chosen: the tokens, None for no limit.
        default_chosen: the same, for new conversations too.
    """

    budget_chosen = Signal(object)
    default_chosen = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setIcon(icon("brain", "text_dim"))
        self.setAutoRaise(True)
        self.setFont(scaled(self.font(), _FONT_SCALE))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._budget: int | None = None
        self._default: int | None = None
        self._decode_tok_s = 0.0
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.setMenu(self._menu)
        self.show_budget(None)
        self.hide()

    def show_budget(self, budget: int | None) -> None:
        """Name the budget in force."""
        self._budget = budget
        self._explain()

    def set_default(self, budget: int | None) -> None:
        """The budget of new conversations."""
        self._default = budget

    def set_speed(self, decode_tok_s: float) -> None:
        """The loaded model's speed, for the times beside the budgets; 0 where unknown."""
        self._decode_tok_s = decode_tok_s
        self._explain()

    def _explain(self) -> None:
        text = tr("Thinking: {budget}", budget=budget_name(self._budget))
        if self._budget and self._decode_tok_s:
            duration = duration_text(self._budget / self._decode_tok_s)
            text = f"{text} · {tr('at most {duration}', duration=duration)}"
        self.setText(text)
        self.setAccessibleName(text)
        cost = budget_cost(self._budget, self._decode_tok_s)
        self.setToolTip(tr("How long the model may think before it answers: {cost}", cost=cost))

    @Slot()
    def _fill_menu(self) -> None:
        self._menu.clear()
        group = QActionGroup(self._menu)
        for budget in THINKING_BUDGETS.values():
            cost = budget_cost(budget, self._decode_tok_s)
            self._add(group, f"{budget_name(budget)}  –  {cost}", budget)
        if self._budget not in THINKING_BUDGETS.values():
            self._add(group, budget_cost(self._budget, self._decode_tok_s), self._budget)
        self._menu.addSeparator()
        self._menu.addAction(tr("Another number…")).triggered.connect(self._on_number)
        for_all = self._menu.addAction(
            tr("“{budget}” for new chats too", budget=budget_name(self._budget))
        )
        for_all.setEnabled(self._budget != self._default)
        for_all.triggered.connect(lambda: self.default_chosen.emit(self._budget))

    def _add(self, group: QActionGroup, text: str, budget: int | None) -> None:
        action = self._menu.addAction(text)
        action.setCheckable(True)
        action.setChecked(budget == self._budget)
        group.addAction(action)
        action.triggered.connect(partial(self._choose, budget))

    def _choose(self, budget: int | None, _checked: bool = False) -> None:
        self.show_budget(budget)
        self.budget_chosen.emit(budget)

    @Slot()
    def _on_number(self) -> None:
        dialog = QInputDialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setInputMode(QInputDialog.InputMode.IntInput)
        dialog.setWindowTitle(tr("Thinking budget"))
        dialog.setLabelText(tr("The most tokens that the model thinks before it answers:"))
        dialog.setIntRange(0, _MOST)
        dialog.setIntStep(256)
        dialog.setIntValue(self._budget or _FIRST_NUMBER)
        dialog.intValueSelected.connect(self._choose)
        dialog.open()
