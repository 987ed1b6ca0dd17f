"""How long formulas keep the window's thread, and what they take of memory.

    python tests/benchmarks/bench_formulas.py [--seconds 20]

Hostile formulas one by one, then a page of formulas streamed at 100 tokens a second. Wall times
need a quiet machine; the times of the processor do not.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

import psutil
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.message import ChatMessage
from r1desk.chat.widgets.view import ChatView
from support.formula_corpus import FORMULAS, HOSTILE

TOKEN_CHARS = 4
TOKENS_A_SECOND = 100


@dataclass
class Gaps:
    """The longest time that the event loop was not back, by the clock and by the processor."""

    wall_ms: float = 0.0
    cpu_ms: float = 0.0


class GapMeter:
    """Measures gaps of the event loop with a timer that is due all the time."""

    def __init__(self) -> None:
        self.gaps = Gaps()
        self._last = (time.perf_counter(), time.thread_time())
        self._timer = QTimer()
        self._timer.timeout.connect(self._on_timeout)
        self._timer.start(0)

    def restart(self) -> None:
        """Forget the gaps so far."""
        self.gaps = Gaps()
        self._last = (time.perf_counter(), time.thread_time())

    def stop(self) -> Gaps:
        """End; returns the longest gaps."""
        self._timer.stop()
        return self.gaps

    def _on_timeout(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        self.gaps.wall_ms = max(self.gaps.wall_ms, 1000 * (now[0] - self._last[0]))
        self.gaps.cpu_ms = max(self.gaps.cpu_ms, 1000 * (now[1] - self._last[1]))
        self._last = now


def page_of_formulas() -> str:
    """An answer in which every second line is a formula."""
    lines = []
    for number, source in enumerate(FORMULAS):
        lines.append(f"{number + 1}. Step {number + 1} with \\({source}\\) in the line:\n")
        if number % 2:
            lines.append(f"   \\[\n   {source}\n   \\]\n")
    return "\n".join(lines)


def run_for(milliseconds: int) -> None:
    """Run the event loop for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def make_view(window: QWidget) -> ChatView:
    """A chat in a shown window, its child process running."""
    window.resize(1000, 760)
    view = ChatView(window)
    view.resize(1000, 760)
    window.show()
    view.show_branch([ChatMessage(1, "assistant", "\\(x\\)")])
    run_for(1_000)
    return view


def hostile(view: ChatView, sources: list[str]) -> list[tuple[str, Gaps]]:
    """The gaps of each of the formulas, inline and on its own lines."""
    found = []
    for number, source in enumerate(sources):
        text = f"a \\({source}\\) b\n\n\\[\n{source}\n\\]\n"
        meter = GapMeter()
        view.show_branch([ChatMessage(10 + number, "assistant", text)])
        service = view.findChild(FormulaService)
        run_for(60)
        while service.is_busy:
            run_for(20)
        run_for(20)
        found.append((source, meter.stop()))
    return found


def stream(view: ChatView, seconds: float) -> Gaps:
    """The gaps while a page of formulas is written for `seconds`."""
    source = page_of_formulas()
    view.show_branch(
        [ChatMessage(1, "user", "?"), ChatMessage(2, "assistant", "", state="streaming")]
    )
    view.begin_stream(2)
    run_for(300)
    meter = GapMeter()
    chars = min(len(source), int(seconds * TOKENS_A_SECOND * TOKEN_CHARS))
    started = time.perf_counter()
    at = 0
    while at < chars:
        view.stream_answer(2, source[at : at + TOKEN_CHARS])
        at += TOKEN_CHARS
        due = started + at / (TOKENS_A_SECOND * TOKEN_CHARS)
        run_for(max(0, round(1000 * (due - time.perf_counter()))))
    view.finish_stream(ChatMessage(2, "assistant", source[:chars]))
    run_for(500)
    return meter.stop()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    application = QApplication(sys.argv[:1])
    window = QWidget()
    view = make_view(window)
    service = view.findChild(FormulaService)
    rows = [gaps for _, gaps in hostile(view, HOSTILE)]
    worst = max(rows, key=lambda gaps: gaps.cpu_ms)
    print(
        f"hostile formulas, longest gap    {max(g.wall_ms for g in rows):7.1f} ms wall"
        f"  {worst.cpu_ms:6.1f} ms processor"
    )
    own = psutil.Process()
    before = own.memory_full_info().uss
    gaps = stream(view, arguments.seconds)
    grown = own.memory_full_info().uss - before
    print(
        f"a page at 100 tok/s, longest gap {gaps.wall_ms:7.1f} ms wall"
        f"  {gaps.cpu_ms:6.1f} ms processor"
    )
    if service.process_id:
        process = psutil.Process(service.process_id)
        memory = process.memory_full_info()
        print(
            f"child process                    {memory.rss / 2**20:7.1f} MiB resident"
            f"  {memory.uss / 2**20:6.1f} MiB its own"
        )
    print(f"window, the page                 {grown / 2**20:7.1f} MiB more")
    print(f"pixmaps                          {service.pixmap_bytes / 2**20:7.1f} MiB")
    service.close()
    window.close()
    del application
    return 0


if __name__ == "__main__":
    sys.exit(main())
