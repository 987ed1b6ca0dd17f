"""What child processes get of their owner's environment."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deepseek_r1.core.child_environment import child_environment
from deepseek_r1.hardware import cpu


@pytest.mark.integration
def test_a_child_sees_the_processor_of_its_owner() -> None:
    """Measured times are stored under its name by one process and looked up by the other."""
    name = subprocess.run(
        [sys.executable, "-c", "from deepseek_r1.hardware import cpu; print(cpu().name)"],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert name.rstrip() == cpu().name


def test_windows_processor_name_is_passed_on_and_no_secret() -> None:
    own = {"PROCESSOR_IDENTIFIER": "Intel64 Family 6", "HF_TOKEN": "secret"}
    passed = child_environment(own)
    assert passed["PROCESSOR_IDENTIFIER"] == "Intel64 Family 6"
    assert "HF_TOKEN" not in passed
