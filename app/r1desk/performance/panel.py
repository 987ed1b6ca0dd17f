"""The performance panel: the model, its memory bill, and every setting with what it costs.

It emits what the user wants and shows what it is told; it calls neither engine nor store.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.events import Bill, ModelLoaded, ThreadsMeasured
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.core.words import tr
from r1desk.layouts import put_inside
from r1desk.performance.bill_view import BillView
from r1desk.performance.fold import Fold
from r1desk.performance.load_section import LoadSection
from r1desk.performance.model_box import ModelBox
from r1desk.performance.rows import grey_out, label
from r1desk.performance.sampling_section import SamplingSection, SystemPrompt
from r1desk.performance.threads_box import ThreadsBox
from r1desk.theme import explain, set_role

LEAST_PX, SUITED_PX, MOST_PX = 320, 340, 480


class PerformancePanel(QWidget):
    """The right side of the window.

    Signals:
        plan_wanted: edited `LoadSettings`; answer with `show_plan` or `show_plan_failed`.
        settings_applied: `LoadSettings` to load the model with.
        threads_changed: threads for writing and for reading, in force at once.
        budget_changed: MiB, for a model that runs from the disk, in force at once.
        sampling_changed: `SamplingSettings` for the next answer.
        system_prompt_changed: the new text.
        choose_model_requested: the user wants another model.
        model_chosen: the path of one of the known models.
    """

    plan_wanted = Signal(object)
    settings_applied = Signal(object)
    threads_changed = Signal(int, int)
    budget_changed = Signal(int)
    sampling_changed = Signal(object)
    system_prompt_changed = Signal(str)
    choose_model_requested = Signal()
    model_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setMaximumWidth(MOST_PX)
        self.setAccessibleName(tr("Performance"))
        self._bill: Bill | None = None  # of the settings in force
        self._fits_with: LoadSettings | None = None  # what the advice means
        self.model = ModelBox()
        self.bill = BillView()
        self.load = LoadSection(self)
        self.threads = ThreadsBox()
        self.sampling = SamplingSection()
        self.system_prompt = SystemPrompt()
        self.advanced = Fold(tr("Advanced"), self.load.advanced)
        self.sampling_fold = Fold(tr("Sampling"), self.sampling)
        self.prompt_fold = Fold(tr("System prompt"), self.system_prompt)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._scrolled(), 1)
        layout.addWidget(self._pending_bar())
        self._edited_with: QWidget = self.load.rows["memory_budget"].spin
        self._connect()

    # ---- arrangement ------------------------------------------------------------------------

    def _scrolled(self) -> QScrollArea:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(14, 14, 14, 18)
        column.setSpacing(14)
        column.addWidget(self.model)
        column.addWidget(self.bill)
        column.addWidget(_rule())
        column.addWidget(self.load.simple)
        column.addWidget(self.threads)
        for fold in (self.advanced, self.sampling_fold, self.prompt_fold):
            column.addWidget(_rule())
            column.addWidget(fold)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(content)
        self.area = area
        content.installEventFilter(self)
        return area

    def _pending_bar(self) -> QFrame:
        self.pending = QFrame()
        set_role(self.pending, "bar")
        self.pending_text = label("", "dim")
        self.apply_button = QPushButton(tr("Apply and reload"))
        set_role(self.apply_button, "primary")
        self.undo_button = QPushButton(tr("Undo"))
        column = QVBoxLayout(self.pending)
        column.setContentsMargins(14, 10, 14, 12)
        column.setSpacing(8)
        column.addWidget(self.pending_text)
        buttons = put_inside(column, QHBoxLayout())
        buttons.setSpacing(8)
        buttons.addWidget(self.apply_button, 1)
        buttons.addWidget(self.undo_button)
        self.pending.hide()
        return self.pending

    def _connect(self) -> None:
        self.model.choose_requested.connect(self.choose_model_requested)
        self.model.model_chosen.connect(self.model_chosen)
        self.load.plan_wanted.connect(self.plan_wanted)
        self.load.threads_changed.connect(self.threads_changed)
        self.load.budget_changed.connect(self.budget_changed)
        self.load.edited_changed.connect(self._on_edited)
        self.sampling.sampling_changed.connect(self.sampling_changed)
        self.system_prompt.system_prompt_changed.connect(self.system_prompt_changed)
        self.apply_button.clicked.connect(self._on_apply)
        self.undo_button.clicked.connect(self._on_undo)
        self.bill.take_button.clicked.connect(self._on_take)

    def minimumSizeHint(self) -> QSize:
        # A scroll area asks for nothing at the side: with large text, the rows would be cut off.
        inner = self.area.widget().minimumSizeHint().width()
        bar = self.area.verticalScrollBar().sizeHint().width()
        return QSize(min(MOST_PX, max(LEAST_PX, inner + bar)), 240)

    def sizeHint(self) -> QSize:
        return QSize(max(SUITED_PX, self.minimumSizeHint().width()), 700)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:  # other text, font or language inside
            self.updateGeometry()
        return super().eventFilter(watched, event)

    # ---- what the owner tells ---------------------------------------------------------------

    def set_load_settings(self, settings: LoadSettings) -> None:
        """The settings in force; edits that were not applied are dropped. Emits nothing."""
        self.load.set_settings(settings)

    def set_sampling(self, settings: SamplingSettings) -> None:
        """The sampling in force. Emits nothing."""
        self.sampling.set_sampling(settings)

    def set_system_prompt(self, text: str) -> None:
        """The system prompt in force. Emits nothing."""
        self.system_prompt.set_text(text)

    def set_known_models(self, models: Sequence[tuple[str, str]]) -> None:
        """(words, path) of models at hand, for the menu beside the button."""
        self.model.set_known(models)

    @Slot(object, str, object)
    def show_plan(self, bill: Bill, advice: str, fits_with: LoadSettings | None = None) -> None:
        """The answer to `plan_wanted`: what the edited settings would cost.

        `advice` is a sentence about what would fit, and `fits_with` are the settings it means.
        """
        self._fits_with = fits_with
        self.load.show_costs(bill)
        if not self.load.pending:
            in_force = self._bill is not None and self._bill.budget_mib == bill.budget_mib
            self._show_bill(self._bill if in_force else bill, advice)
            return
        self._show_bill(bill, advice)
        self.apply_button.setEnabled(bill.fits)
        explain(self.apply_button, advice)
        total = tr(
            "After the reload: {total:,.0f} of {budget:,.0f} MiB",
            total=bill.total_mib,
            budget=bill.budget_mib,
        )
        self._say_pending(total, "dim" if bill.fits else "danger")

    def _show_bill(self, bill: Bill | None, advice: str) -> None:
        self.bill.show_bill(bill, advice, can_be_taken=self._fits_with is not None)

    def show_budget(self, bill: Bill) -> None:
        """The loaded model's bill under the budget that is in force now."""
        self._bill = bill
        if not self.load.pending:
            self.bill.show_bill(bill)
            self.load.show_costs(bill)

    def show_peak(self, engine_mib: float, window_mib: float) -> None:
        """What was in use at most since the load; an engine of 0 MiB has none."""
        self.bill.show_peak(engine_mib, window_mib)

    @Slot(str)
    def show_plan_failed(self, text: str) -> None:
        """No bill could be made for the edited settings, and why."""
        self.bill.show_advice(text)
        if self.load.pending:
            self.apply_button.setEnabled(False)
            explain(self.apply_button, text)
            self._say_pending(text, "danger")

    @Slot(str)
    def show_loading(self, name: str) -> None:
        """A load began."""
        self.model.show_loading(name)

    @Slot(float)
    def show_load_progress(self, fraction: float) -> None:
        """How much of the model is read, 0 to 1."""
        self.model.show_progress(fraction)

    @Slot(object)
    def show_model(self, loaded: ModelLoaded) -> None:
        """The model is ready, and what it really took."""
        self._bill = loaded.bill
        self.model.show_model(loaded)
        self.load.limit_context(loaded.facts)
        self.show_threads(loaded.measured)
        for section in (self.load, self.sampling):
            grey_out(section.rows, loaded.facts)
        self.load.take_budget_at_once(loaded.bill.streams)
        if not self.load.pending:
            self.bill.show_bill(loaded.bill)
            self.load.show_costs(loaded.bill)

    def show_threads(self, measured: ThreadsMeasured | None) -> None:
        """The thread counts measured for the loaded model."""
        self.threads.show_measured(measured)
        self.load.show_measured(measured)

    def show_load_failed(self, text: str, present: ModelLoaded | None = None) -> None:
        """The model did not load, and why; `present` is the one that is still there."""
        self.model.show_failure(text, present)

    @Slot(object)
    def restore_load_settings(self, settings: LoadSettings) -> None:
        """What was applied was refused: `settings` stay in force, the edits wait once more."""
        self.load.restore(settings)

    # ---- what the user does -----------------------------------------------------------------

    @Slot()
    def _on_edited(self) -> None:
        focused = self.window().focusWidget()
        if focused is not None and self.area.isAncestorOf(focused):
            self._edited_with = focused
        self.pending.setVisible(self.load.pending)
        self.apply_button.setEnabled(True)
        explain(self.apply_button, "")
        self._say_pending(tr("Takes hold when the model is loaded again."), "dim")

    @Slot()
    def _on_apply(self) -> None:
        self._edited_with.setFocus()  # or Qt would pass it on to what comes after the panel
        self.settings_applied.emit(self.load.apply())

    @Slot()
    def _on_take(self) -> None:
        if self._fits_with is not None:
            self.load.edit(self._fits_with)
            self.apply_button.setFocus()

    @Slot()
    def _on_undo(self) -> None:
        self._edited_with.setFocus()
        self.load.undo()
        self.bill.show_bill(self._bill)
        if self._bill is not None:
            self.load.show_costs(self._bill)

    def _say_pending(self, text: str, role: str) -> None:
        self.pending_text.setText(text)
        set_role(self.pending_text, role)


def _rule() -> QFrame:
    rule = QFrame()
    set_role(rule, "rule")
    return rule
