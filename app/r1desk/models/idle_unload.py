"""Unloads the model when it was not used for some minutes, if that is set."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Slot

from deepseek_r1.host.supervisor_events import EngineState
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.models.controller import ModelController

MINUTE_MS = 60_000
CHOICES_MIN = (0, 5, 15, 30, 60)  # 0 is never


class IdleUnload(QObject):
    """Lives in the main thread. A load, an answer and an opened conversation count as use."""

    def __init__(
        self, models: ModelController, engine: EngineBridge, minutes: Callable[[], int]
    ) -> None:
        """`minutes` returns the setting; 0 is never."""
        super().__init__(models)
        self._models = models
        self._engine = engine
        self._minutes = minutes
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._on_idle)
        models.loaded.connect(self.restart)
        engine.event.connect(self.restart)

    @Slot()
    def restart(self) -> None:
        """Wait anew: the model was used just now, or the setting was changed."""
        minutes = self._minutes()
        if minutes > 0:
            self._timer.start(minutes * MINUTE_MS)
        else:
            self._timer.stop()

    @Slot()
    def wake(self) -> None:
        """A conversation was opened: load the model again if it was unloaded."""
        self.restart()
        if self._models.resting:
            self._models.ensure_loading()

    @Slot()
    def _on_idle(self) -> None:
        if self._engine.state is EngineState.IDLE:
            self._models.unload()
        elif self._models.current is not None:
            self.restart()
