"""What keeps a benchmark from running."""

from __future__ import annotations

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import N_


class LimitUnavailable(R1Error):
    """No real memory limit can be set."""

    what = N_("A memory limit cannot be set here.")
    why = N_("{detail}")
    todo = N_("Run the benchmark on Linux as root, where control groups are available.")
