"""The wires between what is measured and the gauge."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Slot

from deepseek_r1.core import events
from deepseek_r1.core.words import tr
from deepseek_r1.host.memory_words import shortage_over_words, shortage_words
from deepseek_r1.host.notices import EngineState
from deepseek_r1.host.protocol import Beat
from r1desk.bridge import EngineBridge
from r1desk.chat_controller import ChatController
from r1desk.dialogs.notice_bar import Level, Notice
from r1desk.main_window import MainWindow
from r1desk.model_controller import ModelController
from r1desk.performance import Reading, Vitals, VitalsSampler
from r1desk.performance.overdraft import Overdraft
from r1desk.performance.streaming import Streaming, StreamingPace


class VitalsWires(QObject):
    """Puts the sampler's readings, the engine's beats and the answer's pace into one gauge."""

    def __init__(
        self,
        window: MainWindow,
        engine: EngineBridge,
        models: ModelController,
        chat: ChatController,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._engine = engine
        self._models = models
        self._chat = chat
        self._beat: Beat | None = None
        self._reading: Reading | None = None
        self._tok_s = 0.0
        self._streaming_pace = StreamingPace()
        self._streaming: Streaming | None = None
        self._window_peak_mib = 0.0
        self._overdraft = Overdraft()
        self._short = False
        self._told = ""  # the notice about a shortage of memory
        self._sampler = VitalsSampler(self)
        self._sampler.sampled.connect(self._on_sampled)
        engine.beat.connect(self._on_beat)
        engine.event.connect(self._on_event)
        engine.state_changed.connect(self._on_state)
        self._sampler.start()

    def close(self) -> None:
        """Stop measuring and disconnect before the window goes."""
        self._sampler.stop()
        self.deleteLater()

    @Slot(object)
    def _on_sampled(self, reading: Reading) -> None:
        self._reading = reading
        self._keep_budget(reading)
        self._show()

    def _keep_budget(self, reading: Reading) -> None:
        """A window that grew beyond its line of the bill gets more; the model's weights less."""
        if self._models.current is None or self._short:
            return
        app_mib = reading.window_mib + reading.engine_mib
        more_mib = self._overdraft.take(app_mib, self._budget_mib(), time.monotonic())
        if more_mib:
            self._models.leave_to_window(more_mib)

    @Slot(object)
    def _on_beat(self, beat: Beat) -> None:
        before, self._beat = self._beat, beat
        streaming, self._streaming = (
            self._streaming,
            self._streaming_pace.take(beat.weights, time.monotonic()),
        )
        self._sampler.set_engine_pid(self._engine.engine_pid)
        changed = before is None or _shown_of(before) != _shown_of(beat)
        self._say_shortage(beat.memory)
        if changed or streaming != self._streaming:
            self._show()

    @Slot(int, object)
    def _on_event(self, _request_id: int, event: events.Event) -> None:
        match event:
            case events.AnswerDelta() | events.ThinkingDelta() if event.elapsed_s > 0:
                self._tok_s = event.completion_tokens / event.elapsed_s
            case events.GenerationFinished(stats=stats):
                self._tok_s = stats.decode_tok_s
            case events.ModelLoaded():
                self._tok_s = 0.0  # the pace was another model's

    @Slot(object, str)
    def _on_state(self, state: EngineState, _detail: str) -> None:
        self._sampler.set_active(
            state in (EngineState.STARTING, EngineState.LOADING, EngineState.GENERATING)
        )
        self._show()

    def _budget_mib(self) -> float:
        """What is in force: while the machine is short of memory, less than the user's budget."""
        loaded, beat = self._models.current, self._beat
        if loaded is None:
            return 0.0
        held = beat.memory if beat is not None else None
        most = loaded.bill.budget_mib
        return min(held.budget_mib, most) if held is not None and held.short else most

    def _say_shortage(self, memory: events.MemoryState | None) -> None:
        """One line when the machine runs short, one when that is over."""
        short = memory is not None and memory.short
        if short == self._short:
            return
        self._short = short
        notices, told = self._window.notices, self._told
        if memory is not None and short:
            self._told = shortage_words(memory)
            notices.show_notice(Notice(self._told, Level.WARNING))
        else:
            notices.withdraw(told)
            if memory is not None:  # else the model is gone, and with it the shortage's effect
                notices.show_notice(Notice(shortage_over_words(), Level.INFO))

    def _show(self) -> None:
        reading, beat = self._reading, self._beat
        if reading is None:
            return
        loaded = self._models.current
        self._window_peak_mib = max(self._window_peak_mib, reading.window_mib)
        engine_peak_mib = beat.peak_mib if beat and loaded else 0.0
        self._window.panel.show_peak(engine_peak_mib, self._window_peak_mib)
        self._window.gauge.update_vitals(
            Vitals(
                app_mib=reading.window_mib + reading.engine_mib,
                budget_mib=self._budget_mib(),
                window_mib=reading.window_mib,
                engine_mib=reading.engine_mib,
                machine_used_mib=reading.machine_used_mib,
                machine_total_mib=reading.machine_total_mib,
                cores=reading.cores,
                state=state_words(self._engine.state),
                tok_s=self._tok_s,
                context_used=beat.context_used if beat else 0,
                context_length=beat.context_length if beat else 0,
                streaming=self._streaming if loaded else None,
            )
        )


def _shown_of(beat: Beat) -> tuple[object, ...]:
    return beat.context_used, beat.context_length, beat.memory


def state_words(state: EngineState) -> str:
    """The engine's state in a word or two."""
    return {
        EngineState.STOPPED: tr("Stopped"),
        EngineState.STARTING: tr("Starting"),
        EngineState.READY: tr("No model"),
        EngineState.LOADING: tr("Loading"),
        EngineState.IDLE: tr("Ready"),
        EngineState.GENERATING: tr("Writing"),
        EngineState.FAILED: tr("Stopped after failures"),
    }[state]
