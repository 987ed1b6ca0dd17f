"""Shows measurements in the strip and in the panel, and reports a shortage of memory."""

import time

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QMainWindow, QMenu

from deepseek_r1.core import events
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.protocol import EngineState, Heartbeat
from deepseek_r1.memory.governor import shortage_text
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.view import ChatView
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.models.controller import ModelController
from r1desk.performance.readings import (
    EngineActivity,
    GaugeValues,
    StreamingRateMeter,
    StreamingRates,
    format_engine_state,
)
from r1desk.performance.resource_sampler import BudgetGuard
from r1desk.performance.widgets.gauge import Gauge
from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar


class PerformanceWindow(QMainWindow):
    """The main window, as the measurements use it."""

    chat: ChatView
    composer: Composer
    gauge: Gauge
    made_panel: PerformancePanel | None  # which is made when it is first wanted
    panel_made = Signal(object)
    presets_menu: QMenu
    notices: NoticeBar


class PerformancePresenter(Presenter):
    """Joins the sampler's measurements, the engine's heartbeats and its events in one strip."""

    def __init__(
        self,
        window: PerformanceWindow,
        engine: EngineBridge,
        models: ModelController,
        chat: ChatController,
        guard: BudgetGuard,
    ) -> None:
        super().__init__(window.gauge)
        self._gauge, self._notices = window.gauge, window.notices
        self._engine, self._models, self._chat, self._guard = engine, models, chat, guard
        self._beat: Heartbeat | None = None
        self._activity = EngineActivity()
        self._rate_meter = StreamingRateMeter()
        self._streaming: StreamingRates | None = None
        self._shortage_text = ""  # while the machine is short of memory
        guard.sampler.sampled.connect(self._show)
        engine.heartbeat.connect(self._on_beat)
        engine.event_received.connect(self._on_event)
        engine.state_changed.connect(self._on_state)
        models.load_started.connect(self._show)
        window.gauge.state.clicked.connect(self._on_state_clicked)
        window.gauge.stop.clicked.connect(chat.stop)
        chat.preparing_changed.connect(self._show)
        if guard.beat is not None:  # in a window that is new: not empty until the next
            self._on_beat(guard.beat)
        self._show()

    @Slot(object)
    def _on_beat(self, beat: Heartbeat) -> None:
        before, self._beat = (self._beat, self._streaming), beat
        self._streaming = self._rate_meter.update(beat.weights, time.monotonic())
        self._notify_shortage(beat.memory)
        if _shown_part(*before) != _shown_part(beat, self._streaming):
            self._show()

    @Slot(object)
    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.PrefillProgress) and not self._chat.busy:
            return  # of the next turn, which is no answer
        before = self._activity.activity
        self._activity.on_event(event)
        if self._activity.activity is not before:
            self._show()

    @Slot(object, str)
    def _on_state(self, state: EngineState, _detail: str) -> None:
        if state is not EngineState.IDLE:  # then the last answer's speed is of interest
            self._activity.start()
        self._show()

    @Slot()
    def _on_state_clicked(self) -> None:
        """Show the conversation that is being answered."""
        answer = self._chat.answer
        if answer is not None and not self._chat.busy_here:
            self._chat.open(answer.conversation_id)

    def _notify_shortage(self, memory: events.MemoryState | None) -> None:
        """Show one notice when the machine runs short of memory and one when that is over."""
        short = memory is not None and memory.short
        if short == bool(self._shortage_text):
            return
        if memory is not None and short:
            self._shortage_text = shortage_text(memory)
            self._notices.show_notice(Notice(self._shortage_text, Level.WARNING))
        else:
            self._notices.withdraw(self._shortage_text)
            self._shortage_text = ""
            if memory is not None:  # else the model is gone, and with it the shortage's effect
                self._notices.show_notice(Notice(shortage_text(memory), Level.INFO))

    @Slot()
    def _show(self) -> None:
        sample = self._guard.sampler.last
        if sample is None:
            return
        state = format_engine_state(self._engine.state, self._activity.activity)
        if self._models.resting and self._engine.state is EngineState.READY:
            state = tr("Unloaded")
        if self._engine.comparison is not None:
            state = tr("Comparing")
        elif note := self._models.waiting_note:
            state = note
        elif self._chat.preparing and self._engine.state is EngineState.IDLE:
            reads = self._chat.reads_documents
            state = tr("Reading documents") if reads else tr("Preparing your next message")
        self._gauge.show_values(
            GaugeValues(
                sample=sample,
                budget_mib=self._guard.budget_mib,
                state=state,
                tok_s=self._activity.tok_s,
                streaming=self._streaming if self._models.current else None,
                preparing=self._chat.preparing,
            )
        )


def _shown_part(beat: Heartbeat | None, streaming: object) -> tuple[object, ...]:
    """What the window shows of a beat: at rest they come each second, and change nothing."""
    if beat is None:
        return ()
    return beat.memory, beat.phase, streaming
