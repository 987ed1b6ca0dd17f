"""The retry policy of the command line's downloads."""

from __future__ import annotations

import os

from deepseek_r1.catalogue.retry_policy import RetryPolicy

LOOPBACK_VARIABLE = "R1DESK_LOOPBACK_HTTP"


def retry_policy() -> RetryPolicy:
    """Returns the default policy. For tests, `R1DESK_LOOPBACK_HTTP=1` allows local http."""
    return RetryPolicy(loopback_http=os.environ.get(LOOPBACK_VARIABLE) == "1")
