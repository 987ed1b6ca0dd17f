"""How long a server is waited for, and what it is allowed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds.

    Fewer than `least_bytes` within `stall_s` are a stall. `give_up_s` without progress end the
    download, and so do `first_tries` attempts of which none brought anything.
    """

    connect_s: float = 15.0
    stall_s: float = 30.0
    least_bytes: int = 64 << 10
    give_up_s: float = 300.0
    first_tries: int = 4
    pause_s: float = 1.0  # before the second attempt, doubled for each further one
    longest_pause_s: float = 30.0
    loopback_http: bool = False  # http to this computer itself: a server under test
