"""How patient the command line is with servers, and what it allows them."""

from __future__ import annotations

import os

from deepseek_r1.catalogue.rules import Rules

LOOPBACK_VARIABLE = "R1DESK_LOOPBACK_HTTP"


def rules() -> Rules:
    """The usual rules. `R1DESK_LOOPBACK_HTTP=1` allows http to this computer, for testing."""
    return Rules(loopback_http=os.environ.get(LOOPBACK_VARIABLE) == "1")
