"""Another program takes nearly all memory while the model writes in the real window."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.real_models import memory_limit, r1_shaped

SCRIPT = Path(__file__).with_name("short_of_memory.py")


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.integration
def test_nothing_is_killed_and_the_answer_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    command = [
        *memory_limit(2000), sys.executable, SCRIPT, "--model", r1_shaped(tmp_path_factory),
        "--budget", "1100", "--tokens", "80",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["streams"]
    assert found["least_budget_mib"] < found["budget_mib"] == found["budget_back_mib"]
