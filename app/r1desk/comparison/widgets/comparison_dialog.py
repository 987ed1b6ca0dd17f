"""The dialog that asks which models answer, and says how they will run."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QDialogButtonBox,
    QDoubleSpinBox,
    QGridLayout,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

from deepseek_r1.core.errors import BudgetTooSmall, ErrorReport
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import short_names
from deepseek_r1.core.settings import THINKING_BUDGETS, DraftMode, SamplingSettings
from deepseek_r1.host.comparison import Candidate, ComparisonPlanned
from r1desk.chat.text.editor import MessageField
from r1desk.chat.values.duration import budget_name
from r1desk.platform.tasks import Later, Tasks, report_of, task
from r1desk.store import ChatMessage
from r1desk.theme import icon, set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import keep_place, put_inside, with_properties
from r1desk.widgets.text_label import NamedBox, text_label

_FOLD_ROW = 4  # of the grid of columns


class Planner(Protocol):
    """Makes the bills of a comparison."""

    def plan(self, candidates: Sequence[Candidate]) -> Later[ComparisonPlanned]:
        """Ask how these will run."""


class ColumnChoice(QObject):
    """A column: its model, the first one `chosen` of these from 1 on, or none; and its settings.

    Its widgets go into the grid of the dialog, whose first column names the rows.
    """

    def __init__(
        self,
        number: int,
        grid: QGridLayout,
        models: Sequence[Candidate],
        chosen: int,
        *,
        no_thinking: Collection[str],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._no_thinking = no_thinking  # paths of models
        first, title = models[0], tr("Column {n}", n=number)
        self.model = NamedBox(title, parent)
        self.model.addItem(tr("No model"))
        names = short_names([(each.name, Path(each.model).stem) for each in models])
        for place, (name, each) in enumerate(zip(names, models, strict=True), 1):
            self.model.addItem(name, each)
            self.model.setItemData(place, str(each.model), Qt.ItemDataRole.ToolTipRole)
        self.model.setCurrentIndex(chosen)
        self.model.setMinimumContentsLength(10)
        least, most = SamplingSettings.bounds("temperature")
        self.temperature = QDoubleSpinBox(
            parent, minimum=least, maximum=most, singleStep=0.1, decimals=2
        )
        self.temperature.setValue(first.sampling.temperature)
        self.temperature.lineEdit().setTextMargins(6, 0, 6, 0)
        self.thinking = NamedBox(f"{title}, {tr('Thinking budget')}", parent)
        for budget in dict.fromkeys((*THINKING_BUDGETS.values(), first.sampling.thinking_budget)):
            self.thinking.addItem(budget_name(budget), budget)
        self.thinking.setCurrentIndex(self.thinking.findData(first.sampling.thinking_budget))
        self.instructions = QPlainTextEdit(first.system, parent, tabChangesFocus=True)
        self.instructions.setFixedHeight(3 * self.instructions.fontMetrics().lineSpacing())
        self.from_disk = with_properties(QCheckBox(parent), checked=first.load.swap_enabled)
        self.disk_is_chosen = False  # by the user, who is not overruled
        self.from_disk.clicked.connect(self._on_disk_clicked)
        self.drafts = with_properties(
            QCheckBox(parent), checked=first.load.drafts is not DraftMode.OFF
        )
        grid.addWidget(text_label(title, "heading"), 0, number)
        grid.addWidget(self.model, 1, number)
        self.advanced: list[QWidget] = []  # what is behind the fold
        for row, text, widget in (
            (2, tr("Thinking budget"), self.thinking),
            (3, tr("Instructions"), self.instructions),
            (_FOLD_ROW + 1, tr("Temperature"), self.temperature),
            (_FOLD_ROW + 2, tr("From the disk"), self.from_disk),
            (_FOLD_ROW + 3, tr("Drafts"), self.drafts),
        ):
            shown: list[QWidget] = [widget]
            if number == 1:
                shown.append(label := text_label(text))
                grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, number)
            widget.setAccessibleName(f"{title}, {text}")
            self.advanced += shown if row > _FOLD_ROW else []
        self.model.currentIndexChanged.connect(self._show_thinking)
        self._show_thinking()

    @Slot()
    def _show_thinking(self) -> None:
        """A model that does not think has no budget for it; the rows stay beside each other."""
        model: Candidate | None = self.model.currentData()
        thinks = model is not None and str(model.model) not in self._no_thinking
        self.thinking.setEnabled(thinks)
        tip = "" if thinks or model is None else tr("This model does not think.")
        self.thinking.setToolTip(tip)

    @Slot()
    def _on_disk_clicked(self) -> None:
        self.disk_is_chosen = True

    def candidate(self) -> Candidate | None:
        model: Candidate | None = self.model.currentData()
        if model is None:
            return None
        own = DraftMode.AUTO if model.load.drafts is DraftMode.OFF else model.load.drafts
        drafts = own if self.drafts.isChecked() else DraftMode.OFF
        without = {"embedding_model": ""}  # the documents are searched by the chat's
        load = {"swap_enabled": self.from_disk.isChecked(), "drafts": drafts, **without}
        sampling = {
            "temperature": round(self.temperature.value(), 2),
            "thinking_budget": self.thinking.currentData(),
        }
        return replace(
            model,
            load=model.load.model_copy(update=load),
            sampling=model.sampling.model_copy(update=sampling),
            system=self.instructions.toPlainText(),
        )


class ComparisonDialog(BoundedDialog):
    """The question, where it goes, the bill, and two columns or three."""

    # the question, a list of Candidates and their ComparisonPlanned
    start_wanted = Signal(object, list, object)

    def __init__(
        self,
        parent: QWidget,
        question: ChatMessage,
        models: Sequence[Candidate],
        planner: Planner,
        *,
        place: str = "",
        last: Sequence[str] = (),
        no_thinking: Collection[str] = (),
    ) -> None:
        """Begin with the first model and one of the `last` time, or another.

        `place` says which chat the question goes into.
        """
        super().__init__(parent, tr("Compare models"), QSize(820, 420))
        self._asked, self._planner, self._models = question, planner, models
        self._no_thinking = no_thinking
        self.tasks = Tasks(self, self._refuse)
        self._planned: ComparisonPlanned | None = None  # once it is known, if any can run
        stored = bool(question.id)  # it cannot be changed
        self.question = with_properties(MessageField(self), readOnly=stored, tabChangesFocus=True)
        self.question.setPlainText(question.content)
        self.question.sent.connect(self._on_start)
        self.question.escaped.connect(self.reject)
        self.question.setAccessibleName(tr("Question"))
        self.question.setPlaceholderText(tr("The question for all models"))
        self.question.setFixedHeight(4 * self.fontMetrics().lineSpacing())
        self.question.textChanged.connect(self._refresh)
        self.bill = text_label("", "dim")
        self.bill.setAlignment(Qt.AlignmentFlag.AlignTop)
        keep_place(self.bill, lines=3)
        body = self.fill_column(spacing=10)
        for part in (self.question, text_label(place), self.bill):
            body.addWidget(part)
        self._grid = put_inside(body, QGridLayout())
        self._grid.setHorizontalSpacing(16)
        self.advanced = with_properties(QPushButton(tr("Advanced")), checkable=True)
        set_role(self.advanced, "fold")
        self._grid.addWidget(self.advanced, _FOLD_ROW, 0)
        body.addStretch(1)
        self.choices: list[ColumnChoice] = []
        first, second, self._third = _chosen(models, last)
        for chosen in (first, second):
            self._add_column(chosen)
        self.advanced.toggled.connect(self._show_advanced)
        self._show_advanced(shown=False)
        action = QDialogButtonBox.ButtonRole.ActionRole
        self.third = self.buttons.addButton(tr("Add a third column"), action)
        self.third.clicked.connect(self._on_third)
        self.start = self.buttons.addButton(tr("Compare"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.start.setDefault(True)
        set_role(self.start, "primary")
        self.start.clicked.connect(self._on_start)
        self._on_changed()
        (self.choices[1].model if question.content else self.question).setFocus()

    def _add_column(self, chosen: int) -> None:
        number, without = len(self.choices) + 1, self._no_thinking
        choice = ColumnChoice(
            number, self._grid, self._models, chosen, no_thinking=without, parent=self
        )
        self.choices.append(choice)
        self._grid.setColumnStretch(number, 1)
        boxes = choice.from_disk.toggled, choice.drafts.toggled
        for changed in (choice.model.currentIndexChanged, *boxes):
            changed.connect(self._on_changed)

    @Slot()
    def _on_third(self) -> None:
        self.third.hide()
        self._add_column(self._third)
        self._show_advanced(self.advanced.isChecked())
        self.choices[-1].model.setFocus()
        self._on_changed()

    @Slot(bool)
    def _show_advanced(self, shown: bool) -> None:
        self.advanced.setIcon(icon("chevron-down" if shown else "chevron-right", "text_dim"))
        for choice in self.choices:
            for widget in choice.advanced:
                widget.setVisible(shown)

    def candidates(self) -> list[Candidate]:
        """The columns as they are chosen now."""
        return [found for each in self.choices if (found := each.candidate()) is not None]

    @Slot(object)
    def show_plan(self, planned: ComparisonPlanned) -> None:
        """Say how they will run; what does not fit is tried from the disk, if nobody chose that."""
        columns = [each for each in self.choices if each.model.currentData() is not None]
        lines = []
        for column, bill in zip(columns, planned.bills, strict=True):
            if isinstance(bill, ErrorReport):
                tries_disk = not (column.from_disk.isChecked() or column.disk_is_chosen)
                if bill.code == BudgetTooSmall.__name__ and tries_disk:
                    column.from_disk.setChecked(True)  # other bills are asked for
                    return
                lines.append(f"{column.model.currentText()}: {bill.text()}")
        if len(lines) < len(columns):
            self._planned = planned
            lines.insert(0, planned.text())
        self.bill.setText("\n".join(lines))
        self._refresh()

    @Slot()
    def _on_changed(self) -> None:
        """Ask how these columns will run; what was asked before is of others."""
        self.tasks.cancel_all()
        self._planned = None
        self._refresh()
        candidates = self.candidates()
        self.bill.setText(tr("Checking the memory…") if candidates else "")
        if candidates:
            self._plan(candidates)

    @task
    async def _plan(self, candidates: list[Candidate]) -> None:
        self.show_plan(await self._planner.plan(candidates))

    def _refuse(self, error: Exception) -> None:
        self.bill.setText(report_of(error).text())

    @Slot()
    def _refresh(self) -> None:
        asked = bool(self.question.toPlainText().strip())
        self.start.setEnabled(self._planned is not None and asked)

    @Slot()
    def _on_start(self) -> None:
        """By the button, or by Enter in the question, as in the message box."""
        if not self.start.isEnabled():
            return
        question = replace(self._asked, content=self.question.toPlainText())
        self.start_wanted.emit(question, self.candidates(), self._planned)
        self.accept()


def _chosen(models: Sequence[Candidate], last: Sequence[str]) -> tuple[int, int, int]:
    """The models of three columns, from 1 on."""
    there = {str(each.model): place for place, each in enumerate(models, 1)}
    others = [there[path] for path in last if there.get(path, 1) > 1]
    others += [place for place in range(2, len(models) + 1) if place not in others]
    second, third = [*others, 1, 1][:2]
    return 1, second, third
