"""What keeps a benchmark from running."""

from __future__ import annotations

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import N_


class LimitUnavailable(R1Error):
    """No real memory limit can be set."""

    what = N_("A memory limit cannot be set here.")
    why = N_("{detail}")
    todo = N_("Run the benchmark on Linux as root, where control groups are available.")


class EndsTooEarly(R1Error):
    """The model ends its answers before enough is written to be timed."""

    what = N_("The speed of writing could not be measured.")
    why = N_("None of 30 answers of this model was {tokens} tokens long.")
    todo = N_("Ask for fewer tokens with --tokens.")
