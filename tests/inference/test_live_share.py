"""Under the same budget, a caller that has grown leaves the weights less."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
# In a process of its own: what pytest holds would count as the engine's.
GROWS = """
import sys
from deepseek_r1 import CPUInference
with CPUInference(
    sys.argv[1], memory_budget=320, context_length=512, swap_enabled=True, window_mib=150.0
) as model:
    for window_mib in (150.0, 154.0):
        model.set_memory_budget(320, window_mib=window_mib)
        model.generate("Hello", max_tokens=4)  # what is to stay comes home
        print(model.weights_stats.pinned_mib)
"""


@pytest.mark.native
def test_the_weights_follow_the_window(starter: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", GROWS, starter],
        env={"PYTHONPATH": str(APP)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    before, after = map(float, told.stdout.split())
    assert after < before - 3
