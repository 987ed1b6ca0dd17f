"""The dialog that asks which models answer, and says how they will run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QDialogButtonBox,
    QDoubleSpinBox,
    QGridLayout,
    QPlainTextEdit,
    QSizePolicy,
    QWidget,
)

from deepseek_r1.core.errors import BudgetTooSmall, ErrorReport
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import THINKING_BUDGETS, DraftMode, SamplingSettings
from deepseek_r1.host.comparison import Candidate, ComparisonPlanned
from r1desk.chat.values.duration import budget_name
from r1desk.chat.values.intents import ComparisonQuestion
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import keep_place, put_inside
from r1desk.widgets.text_label import NamedBox, text_label


class ColumnChoice:
    """The widgets of a column: its model, or none, and its settings."""

    def __init__(
        self, title: str, models: Sequence[Candidate], chosen: int, changed: Callable[[], object]
    ) -> None:
        """`chosen` is the place of the model, from 1. `changed` is called where the bill is."""
        first = models[0]
        self.model = NamedBox(title)
        for each in (None, *models):
            self.model.addItem(each.name if each is not None else tr("No model"), each)
            path = str(each.model) if each is not None else ""
            self.model.setItemData(self.model.count() - 1, path, Qt.ItemDataRole.ToolTipRole)
        self.model.setCurrentIndex(chosen)
        self.model.setMinimumContentsLength(10)
        self.model.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        least, most = SamplingSettings.bounds("temperature")
        self.temperature = QDoubleSpinBox(minimum=least, maximum=most, singleStep=0.1, decimals=2)
        self.temperature.setValue(first.sampling.temperature)
        self.temperature.lineEdit().setTextMargins(6, 0, 6, 0)
        self.thinking = NamedBox(f"{title}, {tr('Thinking budget')}")
        for budget in dict.fromkeys((*THINKING_BUDGETS.values(), first.sampling.thinking_budget)):
            self.thinking.addItem(budget_name(budget), budget)
        self.thinking.setCurrentIndex(self.thinking.findData(first.sampling.thinking_budget))
        self.instructions = QPlainTextEdit(first.system, tabChangesFocus=True)
        self.instructions.setFixedHeight(3 * self.instructions.fontMetrics().lineSpacing())
        self.from_disk = QCheckBox(checked=first.load.swap_enabled)
        self.drafts = QCheckBox(checked=first.load.drafts is not DraftMode.OFF)
        self.rows: dict[str, QWidget] = {
            title: self.model,
            tr("Temperature"): self.temperature,
            tr("Thinking budget"): self.thinking,
            tr("Instructions"): self.instructions,
            tr("From the disk"): self.from_disk,
            tr("Drafts"): self.drafts,
        }
        for text, widget in self.rows.items():
            widget.setAccessibleName(text if widget is self.model else f"{title}, {text}")
        for each in (self.model.currentIndexChanged, self.from_disk.toggled, self.drafts.toggled):
            each.connect(changed)

    def candidate(self) -> Candidate | None:
        """The column as it is chosen now."""
        model: Candidate | None = self.model.currentData()
        for widget in self.rows.values():
            widget.setEnabled(widget is self.model or model is not None)
        if model is None:
            return None
        drafts = model.load.drafts if model.load.drafts is not DraftMode.OFF else DraftMode.AUTO
        drafts = drafts if self.drafts.isChecked() else DraftMode.OFF
        load = {"swap_enabled": self.from_disk.isChecked(), "drafts": drafts}
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
    """The question, the bill, and up to three columns.

    Signals:
        changed: other columns; `show_plan` is due.
        start_wanted: the ComparisonQuestion and the columns, a list of Candidates.
    """

    changed = Signal()
    start_wanted = Signal(object, list)

    def __init__(
        self, parent: QWidget, question: ComparisonQuestion, models: Sequence[Candidate]
    ) -> None:
        """Begin with two columns: the first model, and the second where there is one."""
        super().__init__(parent, tr("Compare models"), QSize(820, 420))
        self._asked = question
        stored = bool(question.message_id)  # it cannot be changed
        self.question = QPlainTextEdit(question.text, readOnly=stored, tabChangesFocus=True)
        self.question.setAccessibleName(tr("Question"))
        self.question.setPlaceholderText(tr("The question for all models"))
        self.question.setFixedHeight(4 * self.fontMetrics().lineSpacing())
        self.question.textChanged.connect(self._refresh)
        self.bill = text_label("", "dim")
        self.bill.setAlignment(Qt.AlignmentFlag.AlignTop)
        keep_place(self.bill, lines=3)
        body = self.fill_column(spacing=10)
        body.addWidget(self.question)
        body.addWidget(self.bill)
        self.choices = [
            ColumnChoice(tr("Column {n}", n=number), models, chosen, self._on_changed)
            for number, chosen in enumerate((1, min(2, len(models)), 0), 1)
        ]
        self._fill(put_inside(body, QGridLayout()))
        body.addStretch(1)
        self.start = self.buttons.addButton(tr("Ask them"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.start.setDefault(True)
        set_role(self.start, "primary")
        self.start.clicked.connect(self._on_start)
        self._on_changed()
        (self.choices[1].model if question.text else self.question).setFocus()

    def _fill(self, grid: QGridLayout) -> None:
        for number, choice in enumerate(self.choices, 1):
            grid.setColumnStretch(number, 1)
            for row, (text, widget) in enumerate(choice.rows.items()):
                if row == 0:
                    grid.addWidget(text_label(text, "heading"), 0, number)
                elif number == 1:
                    grid.addWidget(text_label(text), row + 1, 0)
                grid.addWidget(widget, row + 1, number)

    def candidates(self) -> list[Candidate]:
        """The columns as they are chosen now."""
        return [found for each in self.choices if (found := each.candidate()) is not None]

    @Slot(object)
    def show_plan(self, planned: ComparisonPlanned | ErrorReport) -> None:
        """Say how the columns will run, and which are refused; or why there are no bills.

        What does not fit into the budget is tried from the disk.
        """
        if isinstance(planned, ErrorReport):
            self.bill.setText(planned.text())
            return
        columns = [each for each in self.choices if each.model.currentData() is not None]
        refused = [
            (column, bill)
            for column, bill in zip(columns, planned.bills, strict=True)
            if isinstance(bill, ErrorReport)
        ]
        for column, bill in refused:
            if bill.code == BudgetTooSmall.__name__ and not column.from_disk.isChecked():
                column.from_disk.setChecked(True)  # other bills are asked for
                return
        lines = [f"{column.model.currentText()}: {bill.text()}" for column, bill in refused]
        self._can_run = len(lines) < len(planned.bills)
        self.bill.setText("\n".join([planned.text()] * self._can_run + lines))
        self._refresh()

    @Slot()
    def _on_changed(self) -> None:
        self._can_run = False
        self._refresh()
        wanted = bool(self.candidates())
        self.bill.setText(tr("The bill is being made…") if wanted else "")
        if wanted:
            self.changed.emit()

    @Slot()
    def _refresh(self) -> None:
        self.start.setEnabled(self._can_run and bool(self.question.toPlainText().strip()))

    @Slot()
    def _on_start(self) -> None:
        question = replace(self._asked, text=self.question.toPlainText())
        self.start_wanted.emit(question, self.candidates())
        self.accept()
