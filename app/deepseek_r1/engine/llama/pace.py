"""How much of a prompt to compute in one call.

One call is one sign of life, so it should take a few seconds at most. But reading the weights is
paid once a call: small calls are slow calls. So a call has a full micro-batch wherever the
machine manages it in time, and never less than `LEAST`.
"""

from __future__ import annotations

CALL_SECONDS = 3.0
LEAST = 64


class PrefillPace:
    """Learns the machine's speed from the calls it sees."""

    def __init__(self, micro_batch: int) -> None:
        self._most = micro_batch
        self._chunk = min(LEAST, micro_batch)  # the first call tells how fast the machine is

    def chunk(self) -> int:
        """Tokens for the next call."""
        return self._chunk

    def saw(self, tokens: int, seconds: float) -> None:
        """A call took this long. Short ones say too little about the speed of long ones."""
        if tokens < min(LEAST, self._most) or seconds <= 0.0:
            return
        in_time = int(tokens / seconds * CALL_SECONDS) // LEAST * LEAST
        self._chunk = max(min(LEAST, self._most), min(self._most, in_time))
