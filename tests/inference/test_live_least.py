"""The least that a model from the disk can do with follows what the processes cost by now."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepseek_r1 import CPUInference

WINDOW_MIB, GROWN_MIB = 150.0, 550.0


@pytest.mark.native
def test_a_window_that_has_grown_raises_the_least(starter: Path) -> None:
    with CPUInference(
        starter, memory_budget=300, context_length=512, swap_enabled=True, window_mib=WINDOW_MIB
    ) as model:
        before = model.wanted.least_mib
        model.set_memory_budget(4096, window_mib=GROWN_MIB)
        assert model.wanted.least_mib >= before + GROWN_MIB - WINDOW_MIB
