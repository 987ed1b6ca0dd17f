"""Answers how model files would run here, for every list, card and menu that shows it.

The questions are worked off outside the main thread, a few at once: a header is read by a child
process, and a first measurement of the computer takes two seconds.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.catalogue.forecaster import Forecaster, MeasuredRate, store_rate
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.events import Event, GenerationFinished, ModelLoaded
from deepseek_r1.core.settings import LoadSettings
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.background_thread import ask_in_background, stream_in_background
from r1desk.platform.tasks import Later, Tasks, task
from r1desk.preferences import Preferences

AT_ONCE = 3
TURN_S = 15.0  # a question waits for its turn; then those before it hang at a drive
LEAST_TOKENS = 32  # of an answer whose speed says something
_MIB = 1 << 20
AnswerT = TypeVar("AnswerT")
P = ParamSpec("P")
Question = Callable[Concatenate[Forecaster, P], Iterator[AnswerT]]


class ForecastService(QObject):
    """Lives in the main thread."""

    rate_stored = Signal()  # from now on the forecasts of that file are others

    def __init__(self, preferences: Preferences, engine: EngineBridge | None = None) -> None:
        """`engine` is the one whose answers are measured."""
        super().__init__()
        self.tasks = Tasks(self)
        self._preferences = preferences
        self._turns = threading.Semaphore(AT_ONCE)
        self._loaded: ModelLoaded | None = None
        if engine is not None:
            engine.model_loaded.connect(self._on_loaded)
            engine.event_received.connect(self._on_event)

    @property
    def settings(self) -> LoadSettings:
        """The settings in force, for which questions are answered."""
        return self._preferences.load

    def ask(
        self, question: Question[P, AnswerT], *args: P.args, **kwargs: P.kwargs
    ) -> Later[AnswerT]:
        """Have `question` about these values answered in a thread."""
        turns, settings = self._turns, self.settings

        def answers() -> Iterator[AnswerT]:
            in_turn = turns.acquire(timeout=TURN_S)
            try:
                with HeaderProcess() as headers:
                    yield from question(Forecaster(settings, headers), *args, **kwargs)
            finally:
                if in_turn:
                    turns.release()

        return stream_in_background(answers)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        self._loaded = loaded

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        """Keep the speed of an answer."""
        if self._loaded is None or not isinstance(event, GenerationFinished):
            return
        stats, facts = event.stats, self._loaded.facts
        tok_s = self._loaded.usual_tok_s(stats)
        if stats.completion_tokens < LEAST_TOKENS or not tok_s:
            return
        rate = MeasuredRate(
            file_bytes=round(facts.file_mib * _MIB),
            tok_s=tok_s,
            budget_mib=self.settings.memory_budget if stats.weights is not None else 0,
        )
        self._store(Path(facts.path), rate)

    @task
    async def _store(self, path: Path, rate: MeasuredRate) -> None:
        await ask_in_background(store_rate, path, rate)
        self.rate_stored.emit()
