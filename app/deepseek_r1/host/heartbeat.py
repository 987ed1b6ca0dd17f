"""Sends the engine process's heartbeat: its loop's phase, its silence, its memory."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deepseek_r1.engine.prompt.template_process import renderer_mib
from deepseek_r1.host.protocol import EnginePhase, Heartbeat
from deepseek_r1.memory import meter

if TYPE_CHECKING:
    from deepseek_r1.inference import CPUInference

HEARTBEAT_WORKING_S = 0.5
HEARTBEAT_IDLE_S = 4.0  # each costs both processes a millisecond or two


class HeartbeatSender:
    """Tracks the loop's phase and progress, and sends heartbeats from its own thread."""

    def __init__(self, send: Callable[[Heartbeat], None]) -> None:
        self._send = send
        self._changed = threading.Event()
        self._phase = EnginePhase.IDLE
        self._progress_at = time.monotonic()
        self.model: CPUInference | None = None
        self._read_mib = 0.0  # from the disk, at the last heartbeat

    def start(self) -> None:
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def record_progress(self) -> None:
        self._progress_at = time.monotonic()

    def send_now(self) -> None:
        """Send a heartbeat at once, for a change that the owner should see. Any thread."""
        self._changed.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        self.record_progress()
        self._phase = EnginePhase.WORKING
        self._changed.set()
        try:
            yield
        finally:
            self._phase = EnginePhase.IDLE
            self._changed.set()

    def _run(self) -> None:
        while True:
            self._send(self.heartbeat())
            self._changed.wait(
                HEARTBEAT_IDLE_S if self._phase is EnginePhase.IDLE else HEARTBEAT_WORKING_S
            )
            self._changed.clear()

    def heartbeat(self) -> Heartbeat:
        phase, model = self._phase, self.model
        if (read_mib := meter.disk_read_mib()) > self._read_mib:  # a slow drive is no hang
            self._read_mib = read_mib
            self.record_progress()
        progress_at = max(self._progress_at, model.last_progress if model else 0.0)
        rss_mib = meter.process_mib(os.getpid())
        helper_mib = renderer_mib()
        return Heartbeat(
            phase=phase,
            idle_s=0.0 if phase is EnginePhase.IDLE else max(0.0, time.monotonic() - progress_at),
            cpu_s=time.process_time(),
            rss_mib=rss_mib + helper_mib,
            peak_mib=max(rss_mib, meter.peak_mib()) + helper_mib,
            helper_mib=helper_mib,
            context_used=model.context_used if model else 0,
            context_length=model.loaded.facts.context_length if model else 0,
            weights=model.weights_stats if model else None,
            memory=model.memory if model else None,
            threads=model.threads[0] if model else 0,
        )
