"""The end of the application: nothing crashes, whatever was copied or is still on its way."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

from pytestqt.qtbot import QtBot

from r1desk.store import StoreThread
from r1desk.store.store_bridge import StoreBridge
from support.patience import PATIENCE_S

COPY_AND_END = """
from PySide6.QtWidgets import QApplication
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.prose_view import ProseView
from r1desk.platform.clipboard import let_copied_text_outlive_python

app = QApplication([])
prose = ProseView(TextStyle.of(app.font()))
prose.setPlainText("copied")
prose.selectAll()
prose.copy()
let_copied_text_outlive_python()
assert app.clipboard().text() == "copied"
"""


def test_a_copied_text_does_not_crash_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", COPY_AND_END], check=False, timeout=PATIENCE_S)
    assert done.returncode == 0


def test_a_result_that_comes_after_the_end_starts_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    thread = StoreThread(tmp_path / "chats.sqlite3")
    thread.start()
    bridge = StoreBridge(thread)
    followed: list[object] = []
    late: Future[int] = Future()
    bridge._watch(late, followed.append, None)
    bridge.close()
    late.set_result(1)
    thread.close()
    qtbot.wait(50)
    assert followed == []
