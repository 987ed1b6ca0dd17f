"""What is not needed to show the window is neither imported before it is shown nor kept."""

from __future__ import annotations

import os
import subprocess
import sys

LATER = (
    *("pygments", "httpx2", "numpy", "jinja2", "llama_cpp", "rich"),
    *("r1desk.models.widgets.chooser", "r1desk.shell.doctor_page"),
    "deepseek_r1.catalogue.network_process",
)
START = "import sys, r1desk.shell.startup, r1desk.shell.session, r1desk.shell.main_window"


def printed(program: str) -> str:
    """What a program prints in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    ).stdout


def test_the_start_leaves_out_what_comes_later() -> None:
    assert printed(f"{START}; print([m for m in {LATER} if m in sys.modules])") == "[]\n"


def test_the_window_does_not_load_openssl() -> None:
    program = (
        "import sys\n"
        "import r1desk.platform.interpreter_setup, r1desk.shell.startup\n"
        "import hashlib, hmac, secrets\n"
        "print('_ssl' in sys.modules, sys.modules['_hashlib'], hashlib.sha256(b'').hexdigest()[:8])"
    )
    assert printed(program) == "False None e3b0c442\n"


def test_the_window_does_not_keep_the_source_of_its_modules() -> None:
    program = "import r1desk.shell.startup\nimport linecache\nprint(len(linecache.cache) < 10)"
    assert printed(program) == "True\n"


def test_the_collector_rests_until_the_window_takes_it_over() -> None:
    program = "import r1desk.platform.interpreter_setup, gc\nprint(gc.isenabled())"
    assert printed(program) == "False\n"
