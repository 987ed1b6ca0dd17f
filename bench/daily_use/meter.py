"""Starts the application with a meter of its window's thread; or times the machine itself.

    python meter.py window TURNS.csv     # becomes the application
    python meter.py host HOST.csv        # every two seconds, how slow the machine is, until ended

A turn is what the window's thread does between two waits for events. The loop is GLib's, whose
poll function is replaced: the time between its return and the next call is the turn, in nested
loops too. Qt's own signals do not tell it there: `aboutToBlock` and `awake` enclose the wait
together with the work. Everything runs in the window's thread.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

LONG_MS = 50.0
COLUMNS = "clock,wall_ms,own_cpu_ms,waited_for_processor_ms,load"
_POLL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
HOST_EVERY_S, HOST_LOOP_S = 2.0, 0.02


class TurnMeter:
    """Writes a line for each turn of more than `LONG_MS`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        glib = ctypes.CDLL("libglib-2.0.so.0")
        glib.g_main_context_get_poll_func.restype = ctypes.c_void_p
        self._real = _POLL(glib.g_main_context_get_poll_func(None))
        self._thread = threading.get_native_id()
        self._waits = os.open(f"/proc/self/task/{self._thread}/schedstat", os.O_RDONLY)
        self._began = time.perf_counter()
        self._cpu, self._waited = time.thread_time(), self._waited_s()
        self._own = _POLL(self._on_poll)  # kept: GLib calls it until the end
        glib.g_main_context_set_poll_func(None, self._own)

    def _waited_s(self) -> float:
        """proc(5): time on a processor, time in the queue for one, number of turns."""
        return int(os.pread(self._waits, 80, 0).split()[1]) / 1e9

    def _on_poll(self, files: int, count: int, timeout_ms: int) -> int:
        if threading.get_native_id() != self._thread:
            return self._real(files, count, timeout_ms)
        wall = (time.perf_counter() - self._began) * 1000
        if wall > LONG_MS:
            cpu, waited = time.thread_time() - self._cpu, self._waited_s() - self._waited
            self._out.write(f"{time.time():.2f},{wall:.1f},{cpu * 1000:.1f},{waited * 1000:.1f},"
                            f"{os.getloadavg()[0]:.2f}\n")  # fmt: skip
        found = self._real(files, count, timeout_ms)
        self._cpu, self._waited = time.thread_time(), self._waited_s()
        self._began = time.perf_counter()
        return found


def start_window(turns: Path) -> int:
    """Run the application as `python -m r1desk` does, with the meter once Qt's loop is there."""
    sys.argv = sys.argv[:1]
    from r1desk.platform import interpreter_setup  # noqa: F401, PLC0415 - first

    # isort: split
    from PySide6.QtCore import QAbstractEventDispatcher  # noqa: PLC0415 - not for the host

    import r1desk.__main__  # noqa: PLC0415
    from r1desk.shell import startup  # noqa: PLC0415

    create = startup.create_application
    out = turns.open("a", buffering=1)
    if not turns.stat().st_size:
        out.write(COLUMNS + "\n")

    def create_with_meter(*arguments: Any) -> Any:
        app = create(*arguments)
        kind = QAbstractEventDispatcher.instance().metaObject().className()
        assert "Glib" in kind, f"the meter knows GLib's loop, not {kind}"
        app.turn_meter = TurnMeter(out)
        return app

    startup.create_application = create_with_meter
    return r1desk.__main__.main()


def time_host(file: Path) -> None:
    """Read the same memory again and again; the ratio is to the fastest reading so far."""
    os.nice(10)
    block = bytearray(os.urandom(1 << 20)) * 16  # more than the caches near a core
    view = memoryview(block).cast("Q")
    rounds, best = 1, float("inf")
    with file.open("a", buffering=1) as out:
        out.write("clock,ratio\n")
        while True:
            began = time.perf_counter()
            for _ in range(rounds):
                bytes(view)
            spent = time.perf_counter() - began
            if spent < HOST_LOOP_S / 2 and best == float("inf"):
                rounds *= 2
                continue
            best = min(best, spent)
            out.write(f"{time.time():.2f},{spent / best:.2f}\n")
            time.sleep(HOST_EVERY_S)


if __name__ == "__main__":
    if sys.argv[1] == "window":
        sys.exit(start_window(Path(sys.argv[2])))
    time_host(Path(sys.argv[2]))
