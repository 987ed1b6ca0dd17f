"""The engine's activity and speed, from its events."""

from __future__ import annotations

from enum import StrEnum

from deepseek_r1.core import events
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.supervisor_events import EngineState


class Activity(StrEnum):
    """The parts of an answer in their order."""

    READING = "reading"  # prefill
    THINKING = "thinking"
    WRITING = "writing"


class EngineActivity:
    """Follows one answer. `tok_s` is 0 while no token of the present answer has been written."""

    def __init__(self) -> None:
        self.activity = Activity.READING
        self.tok_s = 0.0

    def start(self) -> None:
        """A load or an answer begins: the last answer's speed is of no interest any more."""
        self.activity = Activity.READING
        self.tok_s = 0.0

    def on_event(self, event: events.Event) -> None:
        """Follow an event of the engine."""
        match event:
            case events.PrefillProgress():
                self.start()
            case events.ThinkingDelta() | events.AnswerDelta():
                thinks = isinstance(event, events.ThinkingDelta)
                self.activity = Activity.THINKING if thinks else Activity.WRITING
                if event.elapsed_s > 0:
                    self.tok_s = event.completion_tokens / event.elapsed_s
            case events.GenerationFinished(stats=stats):
                self.tok_s = stats.decode_tok_s
            case events.ModelLoaded():
                self.tok_s = 0.0


def format_engine_state(state: EngineState, activity: Activity) -> str:
    """The engine's state in a word or two."""
    if state is EngineState.GENERATING:
        return {
            Activity.READING: tr("Reading"),
            Activity.THINKING: tr("Thinking"),
            Activity.WRITING: tr("Writing"),
        }[activity]
    return {
        EngineState.STOPPED: tr("Stopped"),
        EngineState.STARTING: tr("Starting"),
        EngineState.READY: tr("No model"),
        EngineState.LOADING: tr("Loading"),
        EngineState.IDLE: tr("Ready"),
        EngineState.FAILED: tr("Stopped after failures"),
    }[state]
