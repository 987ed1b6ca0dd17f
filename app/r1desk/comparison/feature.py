"""Several models answer one question, within the same budget: the dialog, and the page."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from PySide6.QtCore import Slot

from deepseek_r1.core.i18n import tr
from deepseek_r1.host.comparison import (
    Candidate,
    CandidateEnded,
    CandidateEvent,
    ComparisonEvent,
    ComparisonPlanned,
    plan,
)
from deepseek_r1.memory.plan import ENGINE_RUNTIME_MIB
from r1desk.chat.feature import ChatFeature
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.values.intents import AskOthers, ComparisonQuestion, Intent, OpenLink
from r1desk.comparison.controller import ComparisonController, ShownComparison
from r1desk.comparison.widgets.comparison_dialog import ComparisonDialog
from r1desk.comparison.widgets.comparison_page import ComparisonPage
from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.models.pill_presenter import RecentModels
from r1desk.platform.background_thread import BackgroundAnswer, ask_in_background
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.store import ChatMessage
from r1desk.widgets.notice_bar import Level, Notice


class ComparisonWindow(ChatWindow, Protocol):
    """The main window, as the comparison uses it."""

    comparison: ComparisonPage


class ComparisonFeature(Feature):
    """Asks which models, and shows their answers in place of the chat. Main thread."""

    def __init__(
        self, services: Services, models: ModelController, chat: ChatFeature, recent: RecentModels
    ) -> None:
        super().__init__()
        self._services, self._models, self._recent = services, models, recent
        self._chat, self._settings = chat.controller, chat.settings
        self.controller = controller = ComparisonController(
            services.engine, services.store, chat.controller, models, services.preferences
        )
        self._bills: BackgroundAnswer | None = None
        self._after: Intent | None = None  # asked for in a column, once its answer is shown
        self._window: ComparisonWindow  # set by `attach`, as the next
        self._page: ComparisonPage
        self._chat.comparison_wanted.connect(self._on_wanted)
        self._chat.branch_shown.connect(self._on_branch_shown)
        controller.begun.connect(self._on_begun)
        controller.event.connect(self._on_event)
        self.close = controller.close

    def attach(self, window: ComparisonWindow) -> None:
        """Show the comparison in this window."""
        self._window, self._page = window, window.comparison
        asks = partial(window.chat.requested.emit, AskOthers())
        window.answer_menu.addAction(tr("Compare models…"), "Ctrl+Shift+M", asks)
        self._page.pressed.connect(self.controller.press)
        self._page.requested.connect(self._on_requested)
        self._page.closed.connect(self._on_closed)
        if self.controller.shown is not None:
            self._on_begun(self.controller.shown)

    # ---- the dialog ---------------------------------------------------------------------------

    @Slot(object)
    def _on_wanted(self, question: ComparisonQuestion) -> None:
        """Ask which models answer; not while a comparison or an answer runs."""
        models = self._candidates()
        if self.controller.running or self._chat.busy or not models:
            text = tr("Models are compared when no answer is being written.")
            self._services.notify(Notice(text, Level.INFO))
            return
        dialog = ComparisonDialog(self._window, question, models)
        dialog.changed.connect(partial(self._ask_bills, dialog))
        dialog.start_wanted.connect(self.controller.begin)
        dialog.open()
        self._ask_bills(dialog)

    def _candidates(self) -> list[Candidate]:
        """The models at hand as they would answer in the chat, the chosen one first."""
        sampling, system = self._settings.present
        known, of = [each for each in self._recent.items if not each.missing], self._models
        return [
            Candidate(
                model=each.path,
                load=of.settings_of(each.path),
                sampling=sampling,
                system=system,
                chat_template=of.template_of(each.path).template,
                name=each.name,
            )
            for each in sorted(known, key=lambda each: each.path != of.path)
        ]

    def _ask_bills(self, dialog: ComparisonDialog) -> None:
        """Have the bills of the columns made; those that were asked before are of others."""
        if self._bills is not None:
            self._bills.abandon()
        budget_mib = self.controller.budget_mib
        others_mib = window_and_helpers_mib() + ENGINE_RUNTIME_MIB  # the chat's engine, unloaded
        self._bills = ask_in_background(partial(plan, dialog.candidates(), budget_mib, others_mib))
        for answered in (self._bills.done, self._bills.failed):
            answered.connect(dialog.show_plan)
        dialog.finished.connect(self._bills.abandon)

    # ---- the page -----------------------------------------------------------------------------

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[ChatMessage]) -> None:
        shown = self.controller.shown
        compares = shown is not None and shown.question.conversation_id == conversation_id
        had = self._page.isVisible()
        self._page.setVisible(compares)
        for widget in (self._window.chat, self._window.composer):
            widget.setVisible(not compares)
        if compares and not had:
            self._page.columns[0].button.setFocus()
        elif had and not compares:
            self._window.composer.setFocus()
        if not compares and shown is None and self._after is not None:  # else it still stops
            after, self._after = self._after, None
            self._window.chat.requested.emit(after)

    @Slot(object)
    def _on_begun(self, shown: ShownComparison) -> None:
        self._page.show_comparison(
            shown.question.content,
            [(each.candidate.name, each.answer.over(each.answer.begun)) for each in shown.columns],
        )
        if shown.run.planned.bills:  # the window is new
            self._on_event(shown.run.planned)
        for number, column in enumerate(shown.columns):
            if column.is_over:
                self._on_event(CandidateEnded(number))

    @Slot(object)
    def _on_event(self, event: ComparisonEvent) -> None:
        shown = self.controller.shown
        assert shown is not None  # noqa: S101 - its event
        match event:
            case ComparisonPlanned():
                self._page.plan.setText(event.text())
            case CandidateEvent(number, _, of_engine):
                self._page.columns[number].stream(of_engine)
            case CandidateEnded(number):
                ended = shown.columns[number]
                self._page.columns[number].finish(ended.ended, ended.loaded)
                self._page.show_running(self.controller.running)

    @Slot()
    def _on_closed(self) -> None:
        if self.controller.running:
            self.controller.stop()
        elif self.controller.shown is not None:
            self.controller.leave(len(self._page.columns) - 1)

    @Slot(int, object)
    def _on_requested(self, number: int, intent: Intent) -> None:
        """What changes a message needs its branch: that answer is gone on with first."""
        if isinstance(intent, OpenLink):
            self._window.chat.requested.emit(intent)
        else:
            self._after = intent
            self.controller.leave(number)
