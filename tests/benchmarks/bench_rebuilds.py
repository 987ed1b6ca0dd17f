"""Memory of the window through changes of the language, each of which builds it anew, and dialogs.

    python tests/benchmarks/bench_rebuilds.py [LANGUAGE CHANGES, 6]

Prints resident and unique MiB of the window's process after each step; ends with 1 where it is
above the limit at the end, or where widgets of an earlier window are left.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "app"), str(Path(__file__).parents[1])]
os.environ["R1DESK_PROFILE"] = tempfile.mkdtemp()

from r1desk.platform import interpreter_setup, plain_imports  # noqa: F401 - first, as in `r1desk`

# isort: split
import psutil
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QDialog

from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from r1desk.shell.session import Session
from window.own_process import own_session, until

LIMIT_MIB = 150.0
SETTLED_MS = 1500
DIALOGS = ("models_action", "settings_action", "about_action", "shortcuts_action")
MIB = 1 << 20


def main() -> int:
    """Run all steps; returns the exit status."""
    changes = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    model = starter_model()
    if model is None:
        raise SystemExit("the starter model is not installed")
    with own_session(model, LoadSettings(), 32) as session:
        session.window.closed.disconnect(session._on_closed)
        until(lambda: session.models.current is not None, "the model is loaded")
        wait_ms(SETTLED_MS)
        before = show("start")
        for number in range(changes):
            session.set_language("en" if number % 2 else "zh_CN")
            wait_ms(SETTLED_MS)
            after = show(f"language {number + 1}")
        for name in DIALOGS:
            visit(session, name)
            after = show(name)
        failed = after[0] > LIMIT_MIB or after[1] > before[1] * 1.2
    print(f"limit {LIMIT_MIB:.0f} MiB: {'missed' if failed else 'kept'}")
    return int(failed)


def visit(session: Session, action: str) -> None:
    """Open a dialog, look at all its pages, and close it."""
    getattr(session.window, action).trigger()
    wait_ms(SETTLED_MS)
    dialog = QApplication.activeModalWidget()
    tabs = getattr(dialog, "tabs", None)
    for page in range(tabs.count() if tabs is not None else 0):
        tabs.setCurrentIndex(page)
        wait_ms(SETTLED_MS)
    if isinstance(dialog, QDialog):
        dialog.reject()
    wait_ms(SETTLED_MS)


def show(step: str) -> tuple[float, int]:
    """Print and return resident MiB and the number of widgets."""
    memory = psutil.Process().memory_full_info()
    widgets = len(QApplication.allWidgets())
    resident = memory.rss / MIB
    print(f"{step:18} {resident:6.1f} MiB resident, {memory.uss / MIB:6.1f} unique, "
          f"{widgets} widgets", flush=True)  # fmt: skip
    return resident, widgets


def wait_ms(milliseconds: int) -> None:
    """Let the window live."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == "__main__":
    sys.exit(main())
