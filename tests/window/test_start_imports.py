"""What is not needed to show the window is not imported before it is shown."""

from __future__ import annotations

import os
import subprocess
import sys

LATER = ("pygments", "httpx", "numpy", "jinja2", "llama_cpp", "rich")
START = "import sys, r1desk.application, r1desk.desk, r1desk.main_window"


def test_the_start_leaves_out_what_comes_later() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{START}; print([m for m in {LATER} if m in sys.modules])",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]\n"
