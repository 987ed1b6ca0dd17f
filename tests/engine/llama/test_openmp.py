"""The library waits as we measured it, unless the user chose another way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.engine.llama.binding.library import SPIN_COUNT, wait_policy, wait_policy_set


def test_a_program_that_loads_the_library_itself_gets_the_same_way_of_waiting():
    code = "from deepseek_r1.engine.llama.binding.library import library; library()"
    asked = {key: value for key, value in os.environ.items() if not key.startswith(("GOMP", "OMP"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=asked | {"OMP_DISPLAY_ENV": "VERBOSE"},
        cwd=Path(__file__).parents[3] / "app",
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    if "GOMP_" not in done.stderr:
        pytest.skip("this build computes without GNU OpenMP")
    assert f"GOMP_SPINCOUNT = '{SPIN_COUNT}'" in done.stderr


def test_a_chosen_way_of_waiting_stands():
    assert wait_policy({"OMP_WAIT_POLICY": "passive"}) == {}
    assert wait_policy({"GOMP_SPINCOUNT": "7"}) == {}
    with wait_policy_set():
        assert os.environ["GOMP_SPINCOUNT"]
