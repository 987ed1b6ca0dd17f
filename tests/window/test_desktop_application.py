"""A model that is double-clicked on macOS comes as an event of the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from r1desk.shell import desktop_application

APP = Path(desktop_application.__file__).parents[2]
OPEN = """
import sys
from PySide6.QtGui import QFileOpenEvent
from r1desk.preferences import Preferences
from r1desk.shell.startup import create_application

app = create_application(["r1desk"], Preferences())
app.open_requested.connect(lambda path: print(repr(path)))
app.sendEvent(app, QFileOpenEvent(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="macOS sends documents as events")
def test_a_document_of_the_finder_is_opened(tmp_path: Path) -> None:
    model = tmp_path / "模型.gguf"
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(model)],
        cwd=APP,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == repr(model)
