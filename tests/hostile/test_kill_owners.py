"""The short form of the command that kills owners at many moments."""

from __future__ import annotations

import sys

import pytest

from hostile.kill_owners import trial
from support.patience import PATIENCE_S

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]


def test_no_process_stays_after_its_owner_was_killed() -> None:
    rounds_of, leftovers = trial(seed=20261126, rounds=6, longest_s=4.0, late_s=PATIENCE_S)
    assert sum(rounds_of.values()) == 6
    assert leftovers == []
