"""The short form of the command that renders changed chat templates."""

from __future__ import annotations

import pytest

from hostile.fuzz_templates import LONGEST_S, MOST_MIB, UNEXPECTED, trial

pytestmark = pytest.mark.slow


@pytest.mark.quiet
def test_a_hundred_changed_templates_end_soon_with_a_text_or_a_refusal() -> None:
    found = trial(seed=20261127, count=100)
    assert sum(found.verdicts.values()) == 100
    assert found.verdicts["rendered"] > 20
    assert found.verdicts["refused"] + found.verdicts["over a limit"] > 5
    assert not [verdict for verdict in found.verdicts if UNEXPECTED in verdict]
    assert found.slowest_s < LONGEST_S
    assert found.peak_mib < MOST_MIB
    assert found.bad == []
