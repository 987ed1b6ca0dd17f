"""The real window and engine, with memory taken away by a program or by the slider."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.real_models import memory_limit, r1_shaped

BENCH = Path(__file__).resolve().parents[2] / "bench"
# The goal is 2 s, which the script checks by default. A busy machine with a slow drive takes
# longer, because weights are given back between two layers.
WITHIN_S = "20"
TOKENS = "80"  # a third of the script's: the slider is moved at the first of them

pytestmark = [pytest.mark.slow, pytest.mark.quiet, pytest.mark.integration]


def found_by(command: list[object], timeout_s: float) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.stdout, done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_nothing_is_killed_and_the_answer_is_the_same(tmp_path_factory):
    command = [
        *memory_limit(2000), sys.executable, BENCH / "short_of_memory.py",
        "--model", r1_shaped(tmp_path_factory), "--budget", "1100", "--tokens", "80",
    ]  # fmt: skip
    found = found_by(command, 250)
    assert found["streams"]
    assert found["least_budget_mib"] < found["budget_mib"] == found["budget_back_mib"]


def test_a_smaller_budget_during_an_answer(tmp_path_factory: pytest.TempPathFactory) -> None:
    command = [sys.executable, BENCH / "live_budget.py", r1_shaped(tmp_path_factory)]
    found_by([*command, "--within", WITHIN_S, "--tokens", TOKENS], 280)
