"""What child processes get of their owner's environment, and where their log goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.core.processes import child_environment
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


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no HOME")
def test_a_locked_child_finds_the_profile_where_its_owner_has_no_home() -> None:
    """As below `env -i`, systemd or cron: a locked process may not look in /etc/passwd."""
    source = (
        "from deepseek_r1.core.paths import profile_dir\n"
        "from deepseek_r1.core.process_lock import lock_without_files\n"
        "from deepseek_r1.core.processes import Lock\n"
        "lock_without_files(Lock())\n"
        "print(profile_dir())"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=child_environment({"PATH": os.defpath}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert Path(done.stdout.rstrip()).is_absolute(), done.stderr


@pytest.mark.integration
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


@pytest.mark.integration
def test_a_warning_in_the_log_is_in_the_chosen_file(tmp_path: Path) -> None:
    source = (
        "import sys; from pathlib import Path; from deepseek_r1.core import log\n"
        "log.to_file(Path(sys.argv[1]), 'window'); log.host.warning('ending the engine')"
    )
    command = [sys.executable, "-c", source, str(tmp_path)]
    subprocess.run(command, env=child_environment(), check=True)
    assert "ending the engine" in (tmp_path / "window.log").read_text(encoding="utf-8")
