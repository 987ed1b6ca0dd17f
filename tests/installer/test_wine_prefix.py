"""A Windows installation in a folder: its first window."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "installer" / "windows" / "wine"))
from wine_prefix import Wine, open_first_window, screen

SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("wine"), reason="needs Wine")]


def test_a_first_window_opens_right_after_programs_that_had_no_screen(tmp_path):
    """Their desktop lived a moment longer, and notepad ended on it at once."""
    opened = Wine(tmp_path / "prefix")
    try:
        with screen.x11() as desktop:
            # Not its output: the desktop has it too, and would be waited for.
            command, variables = opened.command("notepad"), opened.environment(DISPLAY="")
            assert subprocess.run(command, check=False, env=variables, **SILENT).returncode
            open_first_window(opened, desktop)
    finally:
        opened.end()
