"""The time limits and retries of a download."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The limits of a download; times are seconds.

    Fewer than `least_bytes` within `stall_s` count as a stall. The download ends after `give_up_s`
    without progress, or after `first_tries` attempts that all brought nothing.
    """

    connect_s: float = 15.0
    stall_s: float = 30.0
    least_bytes: int = 64 << 10
    give_up_s: float = 300.0
    first_tries: int = 4
    pause_s: float = 1.0  # before the second attempt, doubled for each further one
    longest_pause_s: float = 30.0
    loopback_http: bool = False  # allow http to this computer, for test servers
