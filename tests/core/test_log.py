"""The log writes to files that the application chose, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.core.child_environment import child_environment

pytestmark = pytest.mark.integration


def test_a_warning_in_the_log_does_not_reach_the_terminal() -> None:
    source = "from deepseek_r1.core import log; log.host.warning('ending the engine')"
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_a_warning_in_the_log_is_in_the_chosen_file(tmp_path: Path) -> None:
    source = (
        "import sys; from pathlib import Path; from deepseek_r1.core import log\n"
        "log.to_file(Path(sys.argv[1]), 'window'); log.host.warning('ending the engine')"
    )
    command = [sys.executable, "-c", source, str(tmp_path)]
    subprocess.run(command, env=child_environment(), check=True)
    assert "ending the engine" in (tmp_path / "window.log").read_text(encoding="utf-8")
