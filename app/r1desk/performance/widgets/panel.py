"""The panel: model and memory, answers, the conversation's memory, and a document, in tabs.

Its presenters speak to its sections; what concerns several of them is here.
"""

from enum import StrEnum

from PySide6.QtCore import QSize, QTimer, Signal, Slot
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import Bill, ModelLoaded
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.core.units import format_part
from deepseek_r1.native.native_library import graphics_library
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.models.widgets.model_box import ModelBox
from r1desk.performance.widgets.answer_section import AnswerSection, NextTurnSection
from r1desk.performance.widgets.bill_view import BillView, ContextMeter
from r1desk.performance.widgets.load_section import LoadSection
from r1desk.performance.widgets.panel_page import Collapsible, PanelMessage, PanelPage, PresetRow
from r1desk.performance.widgets.setting_rows import grey_out, number_row
from r1desk.theme import explain
from r1desk.widgets.layouts import filled, with_properties
from r1desk.widgets.text_label import text_label

LEAST_PX, SUITED_PX = 320, 340
_TABS_LEFT_PX = 8  # as in the style sheet


class PanelTab(StrEnum):
    """The tabs in their order, with their titles."""

    MODEL = N_("Model")
    ANSWERS = N_("Answers")
    CONVERSATION = N_("Context")


# The settings of each tab: those in sight, and those behind the fold.
SETTINGS = {
    PanelTab.MODEL: (
        ("memory_budget", "swap_enabled"),
        (
            *("drafts", "draft_model", "threads", "threads_prefill", "micro_batch"),
            *("cache_strategy", "enable_chunk_loading", "chunk_size_kib", "embedding_model"),
            "graphics",
        ),
    ),
    PanelTab.ANSWERS: (
        ("temperature", "max_tokens"),
        ("top_p", "top_k", "min_p", "repeat_penalty", "seed", "end_repetition"),
    ),
    PanelTab.CONVERSATION: (("context_length",), ("kv_type",)),
}


def setting_titles() -> dict[str, str]:
    """The titles of all settings of the panel, by their keys; also before there is a panel."""
    keys = [key for shown in SETTINGS.values() for part in shown for key in part]
    if graphics_library() is None:
        keys.remove("graphics")
    of_load = LoadSettings.model_fields
    return {
        key: tr((LoadSettings if key in of_load else SamplingSettings).info(key).title)
        for key in keys
    }


class PerformancePanel(QWidget):
    """The right side of the window."""

    settings_applied = Signal(object)  # `LoadSettings` to load the model with

    def __init__(self, document: DocumentPane, load: LoadSection | None = None) -> None:
        """`load`, the larger half, may have been made in an earlier turn of the loop."""
        super().__init__()
        self.setAccessibleName(tr("Model and memory"))
        self._bill: Bill | None = None  # of the settings in force
        self._fits_with: LoadSettings | None = None  # the settings that the advice means
        self._advice = ""
        self._context = 0  # tokens, of the loaded model
        self.model = ModelBox()
        self.bill = BillView()
        self.load = load or LoadSection()
        self.load.setParent(self)
        self.answers = AnswerSection(self)
        self.preset_row = PresetRow()
        self.context = ContextMeter()
        self.next_turn = NextTurnSection()
        self.message = PanelMessage()
        self.tabs = with_properties(
            QTabWidget(), accessibleName=tr("Model and memory"), documentMode=True
        )
        self.tabs.setObjectName("panel_tabs")
        self.tabs.tabBar().setExpanding(False)
        layout = filled(QVBoxLayout(self), self.tabs, self.message, spacing=0, margins=(0, 6, 0, 0))
        layout.setStretch(0, 1)
        self.pages = {tab: PanelPage() for tab in PanelTab}
        for tab, page in self.pages.items():
            self.tabs.addTab(page, tr(tab))
        self._fill_pages()
        self.document = document
        self.show_document(shown=False)
        self.tabs.currentChanged.connect(self._on_tab)
        self._edited_with: QWidget = number_row(self.load.rows, "memory_budget").spin
        self.load.edited_changed.connect(self._on_edited)
        self.message.apply_button.clicked.connect(self._on_apply)
        self.message.undo_button.clicked.connect(self._on_undo)
        self.message.advice_button.clicked.connect(self._on_use_advice)

    # ---- arrangement ------------------------------------------------------------------------

    def _fill_pages(self) -> None:
        self.rows = self.load.rows | self.answers.rows
        self.bill_fold = Collapsible(tr("All lines of the bill"), self.bill.details)
        instructions = [text_label(tr("Instructions"), "heading"), self.answers.prompt_box]
        # Before and after the settings in sight, and before and after the others.
        more: dict[PanelTab, tuple[list[QWidget], ...]] = {
            PanelTab.MODEL: ([self.model, self.bill], [], [self.bill_fold], []),
            PanelTab.ANSWERS: ([self.preset_row], instructions, [], [self.answers.reset]),
            PanelTab.CONVERSATION: ([self.context], [self.next_turn], [], []),
        }
        for tab, parts in SETTINGS.items():
            plain, expert = ([self.rows[key] for key in part] for part in parts)
            above, below, first, last = more[tab]
            self.pages[tab].fill([*above, *plain, *below], [*first, *expert, *last])

    def minimumSizeHint(self) -> QSize:
        inner = max(page.minimumSizeHint().width() for page in self.pages.values())
        inner = max(inner, self.tabs.tabBar().sizeHint().width() + 2 * _TABS_LEFT_PX)
        return QSize(max(LEAST_PX, inner), 240)

    def sizeHint(self) -> QSize:
        return QSize(max(SUITED_PX, self.minimumSizeHint().width()), 700)

    # ---- shown by the presenters ------------------------------------------------------------

    def show_tab(self, tab: PanelTab) -> None:
        """Bring a tab to the front and put the keyboard onto its first slider."""
        self.tabs.setCurrentWidget(self.pages[tab])
        number_row(self.rows, SETTINGS[tab][0][0]).slider.setFocus()

    def show_setting(self, key: str) -> None:
        """Bring the tab of a setting to the front and put the keyboard onto its control."""
        tab = next(tab for tab, parts in SETTINGS.items() if any(key in part for part in parts))
        page, row = self.pages[tab], self.rows[key]
        self.tabs.setCurrentWidget(page)
        if key in SETTINGS[tab][1]:
            page.expert.button.setChecked(True)
        row.controls[0].setFocus()
        QTimer.singleShot(0, page, lambda: page.ensureWidgetVisible(row))  # it is laid out first

    def show_document(self, *, shown: bool) -> None:
        """Put the document into the first tab, or take it away again."""
        at = self.tabs.indexOf(self.document)
        if not shown:
            if at >= 0:
                self.tabs.removeTab(at)
            self.document.setParent(self)  # whose end it shares
            self.document.hide()
        elif shown and at < 0:
            self.tabs.insertTab(0, self.document, tr("Document"))
        if shown:
            self.tabs.setCurrentWidget(self.document)

    @property
    def shows_document(self) -> bool:
        """Whether the document is the tab in front."""
        return self.tabs.currentWidget() is self.document

    @Slot(object, str, object)
    def show_plan(self, bill: Bill, advice: str, fits_with: LoadSettings | None = None) -> None:
        """The answer to `load.plan_wanted`: the cost of the edited settings.

        `advice` is a sentence about what would fit, and `fits_with` are the settings it means.
        """
        self._advice, self._fits_with = advice, fits_with
        if not self.load.pending:
            self._show_bill(self._bill_in_force(bill))
            self._show_message("")
            return
        self._show_bill(bill)
        self.message.apply_button.setEnabled(bill.fits)
        explain(self.message.apply_button, advice)
        text = tr("After the reload: {part}", part=format_part(bill.total_mib, bill.budget_mib))
        if bill.fits and self._context and bill.context_length not in (0, self._context):
            context = N_("Context {n:,} instead of {now:,}")
            text += " · " + tr(context, n=bill.context_length, now=self._context)
        self._show_message(text, "dim" if bill.fits else "danger")

    def _show_bill(self, bill: Bill | None) -> None:
        """Show a bill and what each setting costs in it: their numbers agree."""
        self.bill.show_bill(bill)
        if bill is not None:
            self.load.show_costs(bill)

    def _bill_in_force(self, planned: Bill) -> Bill:
        """The loaded model's own bill with the planned one's speed; else the planned one."""
        present = self._bill
        if present is None or present.budget_mib != planned.budget_mib:
            return planned
        if present.disk_mib_s:
            return present
        return present.with_speed_of(planned)

    def show_budget(self, bill: Bill) -> None:
        """The loaded model's bill under the budget that is in force now."""
        self._bill = bill
        if not self.load.pending:
            self._advice = ""
            self._show_bill(bill)
            self._show_message("")

    @Slot(ErrorReport)
    def show_plan_failed(self, report: ErrorReport) -> None:
        """No bill could be made for the edited settings, and why."""
        self._advice, self._fits_with = report.text(), None
        if self.load.pending:
            self.message.apply_button.setEnabled(False)
            explain(self.message.apply_button, self._advice)
        self._show_message("", "danger")

    @Slot(object)
    def show_load_planned(self, bill: Bill) -> None:
        """Show the bill of the model that is being loaded: nothing is measured yet."""
        self._bill = None
        self._show_bill(bill)
        self.message.show_message("")  # settings that waited are those of this load

    @Slot(object)
    def show_model(self, loaded: ModelLoaded) -> None:
        """The model is ready, with its measured cost."""
        self._advice, self._context = "", loaded.facts.context_length
        self.model.show_model(loaded)
        self.load.limit_context(loaded.facts)
        for section in (self.load, self.answers):
            grey_out(section.rows, loaded.facts)
        self.load.follow_budget_of(loaded.bill)
        self.show_budget(loaded.bill)

    def show_load_failed(self, text: str, present: ModelLoaded | None = None) -> None:
        """The model did not load, and why; `present` is the one that is still there."""
        self.model.show_failure(text, present)
        self._bill = present.bill if present is not None else None
        self._context = present.facts.context_length if present is not None else 0
        self._show_bill(self._bill)
        if self._bill is not None:
            self.load.follow_budget_of(self._bill)

    @Slot()
    def show_unloaded(self) -> None:
        """The model was unloaded: nothing of its bill is measured any more."""
        self.model.show_unloaded()
        self._context = 0
        if self._bill is not None:
            planned, self._bill = self._bill.with_measured({}), None
            if not self.load.pending:
                self.bill.show_bill(planned)

    def _show_message(self, text: str, role: str = "dim") -> None:
        """One message: the advice with `text` before it, else `text`."""
        if self._advice:
            shown = f"{text}\n{self._advice}".strip()
            # What helps is not printed in the colour of an error; the bill above is red already.
            role = "dim" if self._fits_with is not None else "danger"
        else:
            shown = text
        self.message.show_message(
            shown, role, pending=self.load.pending, advice=self._fits_with is not None
        )

    @Slot()
    def _on_tab(self) -> None:
        """Give the page the keyboard that Qt has moved onto its first control: none was meant."""
        page, focused = self.tabs.currentWidget(), self.window().focusWidget()
        if isinstance(page, PanelPage) and focused is not None and page.isAncestorOf(focused):
            page.setFocus()
        self.message.setVisible(not self.shows_document)

    # ---- done by the user -------------------------------------------------------------------

    @Slot()
    def _on_edited(self) -> None:
        focused = self.window().focusWidget()
        if focused is not None and self.tabs.isAncestorOf(focused):
            self._edited_with = focused
        self._advice, self._fits_with = "", None
        self.message.apply_button.setEnabled(True)
        explain(self.message.apply_button, "")
        waiting = tr("Takes effect after a reload.")
        self._show_message(waiting if self.load.pending else "")

    @Slot()
    def _on_apply(self) -> None:
        self._edited_with.setFocus()  # or Qt would pass it on to what comes after the panel
        self.settings_applied.emit(self.load.apply())

    @Slot()
    def _on_use_advice(self) -> None:
        if self._fits_with is not None:
            self.load.edit(self._fits_with)
            self.message.apply_button.setFocus()

    @Slot()
    def _on_undo(self) -> None:
        self._edited_with.setFocus()
        self.load.set_settings(self.load.applied)
        self._show_bill(self._bill)
