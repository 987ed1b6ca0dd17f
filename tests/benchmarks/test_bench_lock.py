"""The command that measures the lock's cost has two engines whose answers are equal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.core.process_lock import SECCOMP, missing_parts

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(SECCOMP in missing_parts(), reason="the system has no seccomp"),
]


def test_a_locked_and_an_unlocked_engine_answer_alike(shallow_starter: Path) -> None:
    script = Path(__file__).with_name("bench_lock.py")
    command = [sys.executable, script, shallow_starter, "--blocks", "1", "--tokens", "8", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr  # the exit status depends on the speed
    *rates, texts = json.loads(run.stdout)["rows"]
    assert texts == {"other_texts": 0}
    assert all(row["locked"] > 0 < row["unlocked"] for row in rates)
