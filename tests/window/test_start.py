"""The application's start and end: what is loaded, what is opened, and that nothing crashes."""

import os
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from r1desk.store import StoreThread
from r1desk.store.store_bridge import StoreBridge
from support.gguf_files import tiny_qwen2
from support.hostile_server import hub_server, page
from window.measured_process import MeasuredProcess

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
    assert printed(OPEN, str(model)).strip() == repr(model)


LATER = (
    *("pygments", "httpx2", "numpy", "jinja2", "llama_cpp", "rich"),
    *("r1desk.models.widgets.chooser", "r1desk.shell.help_dialogs"),
    "deepseek_r1.catalogue.network_process",
)
START = "import sys, r1desk.shell.startup, r1desk.shell.session, r1desk.shell.main_window"


def printed(program: str, *arguments: str) -> str:
    """What a program prints in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    ).stdout


OPENSSL = """
import sys
import r1desk.platform.interpreter_setup, r1desk.shell.startup
import hashlib, hmac, secrets
print('_ssl' in sys.modules, sys.modules['_hashlib'], hashlib.sha256(b'').hexdigest()[:8])
"""
SOURCES = "import r1desk.shell.startup, linecache; print(len(linecache.cache) < 10)"
CURSOR = """
from r1desk import preferences
from r1desk.shell.startup import create_application
print(create_application(["r1desk"], preferences.Preferences()).cursorFlashTime())
"""
ICONS = """
from PySide6.QtGui import QIcon
from r1desk import preferences
from r1desk.shell.startup import create_application
QIcon.setThemeSearchPaths(["/usr/share/icons"])  # as on a desktop
app = create_application(["r1desk"], preferences.Preferences())
print(QIcon.themeSearchPaths())
"""
COLLECTOR = "import r1desk.platform.interpreter_setup, gc; print(gc.isenabled())"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (f"{START}; print([m for m in {LATER} if m in sys.modules])", "[]"),
        (OPENSSL, "False None e3b0c442"),
        (SOURCES, "True"),
        (COLLECTOR, "False"),
        (CURSOR, "0"),  # at rest nothing is painted
        (ICONS, "[':/icons']"),  # of a file dialog: looked for in each folder of the disk's
    ],
    ids=[
        "what comes later",
        "openssl",
        "sources of modules",
        "the collector rests",
        "the cursor",
        "icons",
    ],
)
def test_the_start_loads_and_keeps_nothing_it_does_not_need(program: str, says: str) -> None:
    assert printed(program) == f"{says}\n"


PROBE = """
import sys
from PySide6.QtCore import QObject
thing = QObject()
before = sys.getrefcount(None)
for _ in range(20_000):
    thing.setObjectName("x")
print(before - sys.getrefcount(None))
"""


def test_calls_that_return_nothing_do_not_wear_out_none() -> None:
    """PySide6 6.12.0 loses one reference per call and aborts Python 3.11 after thousands."""
    assert abs(int(printed(PROBE))) < 100


NETWORK_MODULES = ["httpx2", "httpcore2", "anyio", "certifi", "h11", "ssl"]


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="the measured window waits for a POSIX pipe")
def test_after_a_list_and_a_download_the_window_has_no_library_of_the_network(tmp_path, no_proxy):
    files = {"m-Q8_0.gguf": tiny_qwen2(tmp_path / "tiny.gguf").read_bytes()}
    command = ["-m", "window.measured_window", "--scripted"]
    with hub_server(files).running() as server, MeasuredProcess(command) as window:
        window.hear("ready")
        window.tell("open_hub")
        window.hear("opened")
        window.tell("list", address=page(server))
        assert window.hear("listed")["models"] == 1
        window.tell("pull")
        window.hear("pulled")
        window.tell("modules", names=NETWORK_MODULES)
        assert window.hear("modules")["loaded"] == []


COPY_AND_END = """
from PySide6.QtWidgets import QApplication
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.prose_view import ProseView
from r1desk.platform.qt_application import let_copied_text_outlive_python

app = QApplication([])
prose = ProseView(TextStyle.of(app.font()))
prose.setPlainText("copied")
prose.selectAll()
prose.copy()
let_copied_text_outlive_python()
assert app.clipboard().text() == "copied"
"""


def test_a_copied_text_does_not_crash_the_end_of_the_process() -> None:
    assert printed(COPY_AND_END) == ""


def test_a_result_that_comes_after_the_end_starts_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    thread = StoreThread(tmp_path / "chats.sqlite3")
    bridge = StoreBridge(thread)
    followed: list[object] = []
    late: Future[int] = Future()
    bridge._result_of(late).go_on = lambda: followed.append(late.result())
    bridge.close()
    late.set_result(1)
    thread.close()
    qtbot.wait(50)
    assert followed == []
