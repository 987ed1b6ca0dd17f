"""Connects the comparison's controller with its dialog and its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QMenu

from deepseek_r1.core import events
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.comparison import Candidate, ComparisonPlanned, plan
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.settings_controller import ChatSettingsController
from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.view import ChatView
from r1desk.chat.values.intents import AskOthers, ComparisonQuestion, Intent, OpenLink
from r1desk.comparison.controller import ComparisonController, ShownComparison
from r1desk.comparison.widgets.comparison_dialog import ComparisonDialog
from r1desk.comparison.widgets.comparison_page import ComparisonPage
from r1desk.features import Presenter
from r1desk.models.chosen_templates import ChosenTemplates
from r1desk.models.controller import ModelController
from r1desk.models.forecast_service import ForecastService
from r1desk.models.scan import FoundModel, find_models
from r1desk.platform.background_thread import BackgroundAnswer, ask_in_background
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.preferences import Preferences
from r1desk.store import ChatMessage
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar


class ComparisonWindow(Protocol):
    """The main window, as the comparison uses it."""

    chat: ChatView
    composer: Composer
    comparison: ComparisonPage
    notices: NoticeBar
    answer_menu: QMenu


class ComparisonPresenter(Presenter):
    """Asks which models, and shows their answers in place of the chat."""

    def __init__(
        self,
        window: ComparisonWindow,
        controller: ComparisonController,
        *,
        chat: ChatController,
        settings: ChatSettingsController,
        models: ModelController,
        preferences: Preferences,
        forecasts: ForecastService,
    ) -> None:
        super().__init__(window)
        self._window, self._page, self._controller = window, window.comparison, controller
        self._chat, self._settings = chat, settings
        self._models, self._preferences = models, preferences
        self._forecasts = forecasts
        self._templates = ChosenTemplates(preferences)
        self._dialog: ComparisonDialog | None = None
        self._looking: BackgroundAnswer | None = None
        self._bills: BackgroundAnswer | None = None
        self._after: Intent | None = None  # asked for in a column, once its answer is shown
        requested = window.chat.requested
        window.answer_menu.addAction(
            tr("Compare models…"), "Ctrl+Shift+M", lambda: requested.emit(AskOthers())
        )
        chat.comparison_wanted.connect(self._on_wanted)
        chat.branch_shown.connect(self._on_branch_shown)
        controller.begun.connect(self._on_begun)
        controller.planned.connect(self._on_planned)
        controller.event.connect(self._on_event)
        controller.ended.connect(self._on_ended)
        controller.finished.connect(self._on_finished)
        self._page.pressed.connect(controller.press)
        self._page.requested.connect(self._on_requested)
        self._page.closed.connect(self._on_closed)
        if controller.shown is not None:
            self._on_begun(controller.shown)

    # ---- the dialog ---------------------------------------------------------------------------

    @Slot(object)
    def _on_wanted(self, question: ComparisonQuestion) -> None:
        """Ask which models answer; not while a comparison or an answer runs."""
        path = self._models.path
        if self._controller.running or self._chat.busy or path is None:
            text = tr("Models are compared when no answer is being written.")
            self._window.notices.show_notice(Notice(text, Level.INFO))
            return
        sampling, system_prompt = self._settings.present
        load = self._preferences.load
        template = self._templates.of(path).template
        self._first = Candidate(path, load, sampling, system_prompt, template, self._models.name)
        self._question = question
        dialog = self._dialog = ComparisonDialog(
            self._window, question.text, self._first, stored=bool(question.message_id)
        )
        dialog.changed.connect(self._ask_bills)
        dialog.start_wanted.connect(self._on_start)
        dialog.finished.connect(self._on_dialog_closed)
        dialog.open()
        self._ask_bills()
        opened = [Path(each) for each in self._preferences.recent_models]
        self._looking = self._forecasts.ask(partial(find_models, opened), self._on_found)

    @Slot(str, list)
    def _on_start(self, text: str, columns: list[Candidate]) -> None:
        self._controller.begin(replace(self._question, text=text), columns)

    @Slot(tuple)
    def _on_found(self, found: tuple[FoundModel, ...]) -> None:
        """Offer these models with the settings of the loaded one."""
        for each in found:
            if self._dialog is not None and each.installed.error is None:
                path, name = each.installed.path, each.installed.name
                template = self._templates.of(path).template
                self._dialog.offer(
                    replace(self._first, model=path, name=name, chat_template=template)
                )

    @Slot()
    def _on_dialog_closed(self) -> None:
        self._dialog = None
        for each in (self._looking, self._bills):
            if each is not None:
                each.abandon()

    @Slot()
    def _ask_bills(self) -> None:
        """Have the bills of the columns made; those that were asked before are of others."""
        assert self._dialog is not None  # noqa: S101 - its signal
        self._dialog.show_bill(tr("The bill is being made…"), can_run=False)
        columns = self._dialog.columns()
        if self._bills is not None:
            self._bills.abandon()
        window_mib = window_and_helpers_mib()
        self._bills = ask_in_background(
            lambda: plan(columns, self._controller.budget_mib, window_mib)
        )
        self._bills.done.connect(partial(self._show_bills, self._dialog, columns))
        self._bills.failed.connect(self._on_no_bills)

    @Slot(ErrorReport)
    def _on_no_bills(self, report: ErrorReport) -> None:
        if self._dialog is not None:
            self._dialog.show_bill(report.text(), can_run=False)

    def _show_bills(
        self, dialog: ComparisonDialog, columns: Sequence[Candidate], planned: ComparisonPlanned
    ) -> None:
        lines = []
        for column, bill in zip(columns, planned.bills, strict=True):
            if isinstance(bill, ErrorReport):
                lines.append(f"{column.name}: {bill.text()}")
            elif not bill.fits:
                needed = tr("needs {mib:,.0f} MiB: too much for the budget", mib=bill.total_mib)
                lines.append(f"{column.name}: {needed}")
        can_run = len(lines) < len(columns)
        if can_run:
            lines.insert(0, self._plan_text(planned))
        dialog.show_bill("\n".join(lines), can_run=can_run)

    def _plan_text(self, planned: ComparisonPlanned) -> str:
        """How the columns run, and what they take."""
        needed, budget = round(planned.together_mib), self._controller.budget_mib
        if planned.together:
            return tr("Together, in {needed:,} of {budget:,} MiB.", needed=needed, budget=budget)
        if len(planned.bills) == 1:
            return tr("In {needed:,} of {budget:,} MiB.", needed=needed, budget=budget)
        return tr("One after the other, each with all of {budget:,} MiB.", budget=budget)

    # ---- the page -----------------------------------------------------------------------------

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[ChatMessage]) -> None:
        shown = self._controller.shown
        compares = shown is not None and shown.conversation_id == conversation_id
        had = self._page.isVisible()
        self._page.setVisible(compares)
        for widget in (self._window.chat, self._window.composer):
            widget.setVisible(not compares)
        if compares and not had:
            self._page.columns[0].button.setFocus()
        elif had and not compares:
            self._window.composer.setFocus()
        if not compares and self._after is not None:
            after, self._after = self._after, None
            self._window.chat.requested.emit(after)

    @Slot(object)
    def _on_begun(self, shown: ShownComparison) -> None:
        columns = [
            (each.column.name, each.answer.over(each.answer.begun)) for each in shown.columns
        ]
        self._page.show_comparison(shown.question, columns)
        if shown.planned is not None:  # the window is new
            self._on_planned(shown.planned)
        for number, each in enumerate(shown.columns):
            if each.ended is not None:
                self._on_ended(number, each.ended)
        if not self._controller.running:
            self._on_finished()

    @Slot(object)
    def _on_planned(self, planned: ComparisonPlanned) -> None:
        self._page.plan.setText(self._plan_text(planned))

    @Slot(int, object)
    def _on_event(self, number: int, event: events.Event) -> None:
        column = self._page.columns[number]
        key = column.message_id
        match event:
            case events.LoadProgress(fraction=fraction):
                column.show_status(tr("loading, {percent} %", percent=round(100 * fraction)))
            case events.ModelLoaded():
                column.show_status(tr("reading"))
            case events.PrefillProgress(done=done, total=total, cached=cached) if done < total:
                column.chat.stream_reading(key, done, total, cached)
            case events.ThinkingDelta(text=text):
                column.show_status(tr("thinking"))
                column.chat.stream_thinking(key, text)
            case events.AnswerDelta(text=text):
                column.show_status(tr("writing"))
                column.chat.stream_answer(key, text)
            case events.ThinkingFinished(end=end, seconds=seconds):
                column.chat.thinking_finished(key, seconds, end)

    @Slot(int, object)
    def _on_ended(self, number: int, message: ChatMessage) -> None:
        self._page.finish(number, message)
        shown = self._controller.shown
        loaded = shown.columns[number].loaded if shown is not None else None
        self._page.columns[number].show_status(numbers_text(message, loaded))

    @Slot()
    def _on_finished(self) -> None:
        self._page.show_running(False)

    @Slot()
    def _on_closed(self) -> None:
        if self._controller.running:
            self._controller.stop()
        elif self._controller.shown is not None:
            self._controller.leave(len(self._page.columns) - 1)

    @Slot(int, object)
    def _on_requested(self, number: int, intent: Intent) -> None:
        """What changes a message needs its branch: that answer is gone on with first."""
        if isinstance(intent, OpenLink):
            self._window.chat.requested.emit(intent)
        else:
            self._after = intent
            self._controller.leave(number)


def numbers_text(message: ChatMessage, loaded: events.ModelLoaded | None) -> str:
    """The numbers of an answer, below the name of its column."""
    stats = message.stats
    if stats is None:
        return tr("stopped") if message.state == "stopped" else tr("failed")
    parts = [
        tr("{n:.1f} tok/s", n=stats.decode_tok_s),
        tr("first token after {n:.1f} s", n=stats.ttft_s),
        tr("peak {n:,.0f} MiB", n=stats.peak_mib),
    ]
    if loaded is not None:
        parts.insert(0, tr("loaded in {n:.1f} s", n=loaded.load_s))
    if stats.weights is not None:
        each = stats.weights.read_mib / max(1, stats.completion_tokens)
        parts.append(tr("{n:,.0f} MiB read a token", n=each))
    return " · ".join(parts)
