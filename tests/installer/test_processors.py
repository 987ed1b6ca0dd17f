"""The engine's tests pass with llama.cpp compiled for other processors than this one."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "installer" / "processors.py"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the variants are x86's"
)
def test_kernels_and_a_model_pass_with_avx2_alone_and_with_sse42_alone() -> None:
    command = [sys.executable, str(COMMAND), "--quick", "haswell", "sse42"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [row.split(" | ") for row in done.stdout.splitlines()[2:]]
    assert {row[0] for row in rows} == {"| haswell", "| sse42"}
    assert all(int(row[2].replace(",", "")) > 100 for row in rows)
