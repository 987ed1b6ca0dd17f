"""The engine process's own pulse: what its loop does, since when it is silent, what it costs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deepseek_r1.host.protocol import Beat, Phase
from deepseek_r1.memory import meter

if TYPE_CHECKING:
    from deepseek_r1.inference import CPUInference

BEAT_WORKING_S = 0.5
BEAT_IDLE_S = 2.0


class Vitals:
    """Knows the loop's phase and last sign of life, and sends beats from a thread of its own."""

    def __init__(self, send: Callable[[Beat], None]) -> None:
        self._send = send
        self._changed = threading.Event()
        self._phase = Phase.IDLE
        self._last_sign = time.monotonic()
        self.model: CPUInference | None = None

    def start(self) -> None:
        """Send beats from now on."""
        threading.Thread(target=self._run, name="beat", daemon=True).start()

    def sign(self) -> None:
        """The loop is alive."""
        self._last_sign = time.monotonic()

    def beat_now(self) -> None:
        """Something changed that the owner should see at once. Any thread."""
        self._changed.set()

    @contextmanager
    def working(self, phase: Phase) -> Iterator[None]:
        """Mark the loop as busy with `phase`."""
        self.sign()
        self._phase = phase
        self._changed.set()
        try:
            yield
        finally:
            self._phase = Phase.IDLE
            self._changed.set()

    def _run(self) -> None:
        while True:
            self._send(self.beat())
            self._changed.wait(BEAT_IDLE_S if self._phase is Phase.IDLE else BEAT_WORKING_S)
            self._changed.clear()

    def beat(self) -> Beat:
        """The state of this moment."""
        phase, model = self._phase, self.model
        last_sign = max(self._last_sign, model.last_progress if model else 0.0)
        rss_mib = meter.process_mib(os.getpid())
        return Beat(
            phase=phase,
            idle_s=0.0 if phase is Phase.IDLE else max(0.0, time.monotonic() - last_sign),
            cpu_s=time.process_time(),
            rss_mib=rss_mib,
            peak_mib=max(rss_mib, meter.peak_mib()),
            context_used=model.context_used if model else 0,
            context_length=model.loaded.facts.context_length if model else 0,
            weights=model.weights_stats if model else None,
            memory=model.memory if model else None,
            threads=model.threads[0] if model else 0,
        )
