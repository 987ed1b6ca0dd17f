"""The dialog that asks which models answer, and says how they will run."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QDoubleSpinBox,
    QGridLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import THINKING_BUDGETS, DraftMode, SamplingSettings
from deepseek_r1.host.comparison import Candidate
from r1desk.chat.values.duration import budget_name
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.text_label import push_button, text_label

MOST_COLUMNS = 3


class ColumnChoice(QGroupBox):
    """Chooses a column's model and settings.

    Signals:
        changed: another model, or a setting that changes its bill.
        removed: the user does not want this column.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, number: int, column: Candidate) -> None:
        super().__init__(tr("Column {n}", n=number))
        self._column = column
        self.model = QComboBox()
        self.offer(column)
        self.model.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        least, most = SamplingSettings.bounds("temperature")
        self.temperature = QDoubleSpinBox(minimum=least, maximum=most, singleStep=0.1, decimals=2)
        self.temperature.setValue(column.sampling.temperature)
        self.thinking = QComboBox()
        budgets = dict.fromkeys((*THINKING_BUDGETS.values(), column.sampling.thinking_budget))
        for budget in budgets:
            self.thinking.addItem(budget_name(budget), budget)
        self.thinking.setCurrentIndex(list(budgets).index(column.sampling.thinking_budget))
        self.instructions = QLineEdit(column.system.replace("\n", " "))
        self.from_disk = QCheckBox(tr("From the disk, if it is larger than the budget"))
        self.from_disk.setChecked(column.load.swap_enabled)
        self.drafts = QCheckBox(tr("Drafts"))
        self.drafts.setChecked(column.load.drafts is not DraftMode.OFF)
        self.remove = push_button(tr("Remove"), self.removed)
        self._arrange()
        for each in (self.model.currentIndexChanged, self.from_disk.toggled, self.drafts.toggled):
            each.connect(self.changed)

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.addWidget(self._labelled(tr("Model"), self.model), 0, 0)
        grid.addWidget(self.model, 0, 1, 1, 3)
        grid.addWidget(self.remove, 0, 4)
        grid.addWidget(self._labelled(tr("Temperature"), self.temperature), 1, 0)
        grid.addWidget(self.temperature, 1, 1)
        grid.addWidget(self._labelled(tr("Thinking budget"), self.thinking), 1, 2)
        grid.addWidget(self.thinking, 1, 3, 1, 2)
        grid.addWidget(self._labelled(tr("Instructions"), self.instructions), 2, 0)
        grid.addWidget(self.instructions, 2, 1, 1, 4)
        grid.addWidget(self.from_disk, 3, 1, 1, 3)
        grid.addWidget(self.drafts, 3, 4)
        grid.setColumnStretch(3, 1)

    def _labelled(self, text: str, widget: QWidget) -> QLabel:
        label = text_label(text)
        label.setBuddy(widget)
        widget.setAccessibleName(text)
        return label

    def offer(self, model: Candidate) -> None:
        """Offer this model, unless it is; the chosen one stays chosen."""
        if all(each.model != model.model for each in self.offered()):
            self.model.addItem(model.name, model)
            tip = str(model.model)
            self.model.setItemData(self.model.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def offered(self) -> list[Candidate]:
        """The models to choose from."""
        return [self.model.itemData(index) for index in range(self.model.count())]

    def column(self) -> Candidate:
        """The column as it is chosen now."""
        model, before = self.model.currentData(), self._column
        drafts = before.load.drafts if before.load.drafts is not DraftMode.OFF else DraftMode.AUTO
        load = before.load.model_copy(
            update={
                "swap_enabled": self.from_disk.isChecked(),
                "drafts": drafts if self.drafts.isChecked() else DraftMode.OFF,
                "draft_model": before.load.draft_model if model.model == before.model else "",
            }
        )
        sampling = before.sampling.model_copy(
            update={
                "temperature": round(self.temperature.value(), 2),
                "thinking_budget": self.thinking.currentData(),
            }
        )
        text = self.instructions.text()
        unchanged = text == before.system.replace("\n", " ")
        prompt = before.system if unchanged else text
        return replace(model, load=load, sampling=sampling, system=prompt)


class ComparisonDialog(BoundedDialog):
    """Up to three columns, the question, and the bill.

    Signals:
        changed: other columns; `show_bill` is due.
        start_wanted: the question and the columns.
    """

    changed = Signal()
    start_wanted = Signal(str, list)

    def __init__(self, parent: QWidget, question: str, first: Candidate, *, stored: bool) -> None:
        """Begin with two columns, the second with the first other model that is offered.

        `stored`: the question is a message of the conversation, and cannot be changed.
        """
        super().__init__(parent, tr("Compare models"), QSize(620, 560))
        self._choices: list[ColumnChoice] = []
        body = self.fill_column(spacing=10)
        self.question = QPlainTextEdit(question, readOnly=stored, tabChangesFocus=True)
        self.question.setAccessibleName(tr("Question"))
        self.question.setPlaceholderText(tr("The question for all models"))
        self.question.setFixedHeight(4 * self.fontMetrics().lineSpacing())
        self.question.textChanged.connect(self._refresh)
        self.bill = text_label("", "dim")
        body.addWidget(self.question)
        body.addWidget(self.bill)
        self._column = body
        self.add = push_button(tr("Add a column"), self._on_add)
        self.start = self.buttons.addButton(tr("Ask them"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.start.setDefault(True)
        set_role(self.start, "primary")
        self.start.clicked.connect(self._on_start)
        for _ in range(2):
            self._add(first)
        body.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)
        body.addStretch(1)
        self._can_run = False
        self._refresh()
        (self._choices[-1].model if stored or question else self.question).setFocus()

    def offer(self, model: Candidate) -> None:
        """Offer this model in all columns."""
        for each in self._choices:
            each.offer(model)
        same = len({each.model.currentText() for each in self._choices}) == 1
        if same and len(self._choices) > 1 and self._choices[-1].model.count() == 2:
            self._choices[-1].model.setCurrentIndex(1)

    def columns(self) -> list[Candidate]:
        """The columns as they are chosen now."""
        return [each.column() for each in self._choices]

    def show_bill(self, text: str, *, can_run: bool) -> None:
        """Say how the columns will run, and whether any of them can."""
        self.bill.setText(text)
        self._can_run = can_run
        self._refresh()

    def _add(self, column: Candidate) -> None:
        choice = ColumnChoice(len(self._choices) + 1, column)
        choice.changed.connect(self.changed)
        choice.removed.connect(lambda: self._on_removed(choice))
        for each in self._choices[0].offered() if self._choices else ():
            choice.offer(each)
        self._column.insertWidget(2 + len(self._choices), choice)
        self._choices.append(choice)

    @Slot()
    def _on_add(self) -> None:
        self._add(self._choices[-1].column())
        self._choices[-1].model.setFocus()
        self._refresh()
        self.changed.emit()

    def _on_removed(self, choice: ColumnChoice) -> None:
        self._choices.remove(choice)
        choice.hide()
        choice.deleteLater()
        for number, each in enumerate(self._choices, 1):
            each.setTitle(tr("Column {n}", n=number))
        self._choices[0].model.setFocus()
        self._refresh()
        self.changed.emit()

    @Slot()
    def _refresh(self) -> None:
        self.add.setEnabled(len(self._choices) < MOST_COLUMNS)
        for each in self._choices:
            each.remove.setEnabled(len(self._choices) > 1)
        has_text = bool(self.question.toPlainText().strip())
        self.start.setEnabled(self._can_run and has_text)

    @Slot()
    def _on_start(self) -> None:
        self.start_wanted.emit(self.question.toPlainText(), self.columns())
        self.accept()
