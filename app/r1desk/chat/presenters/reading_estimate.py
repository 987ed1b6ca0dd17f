"""The time that is left until the prompt is read."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST_S = 2.0  # of reading, before a rate is worth showing


class ReadingEstimate:
    """Estimates from the rate so far; one answer at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._message: int | None = None
        self._first_done = 0
        self._started = 0.0

    def seconds_left(self, message_id: int, done: int, total: int) -> float | None:
        """Seconds until `total` tokens are read; None while that is not known."""
        now = self._clock()
        if message_id != self._message or done < self._first_done:
            self._message, self._first_done, self._started = message_id, done, now
            return None
        passed, read = now - self._started, done - self._first_done
        if passed < LEAST_S or read <= 0:
            return None
        return (total - done) * passed / read
