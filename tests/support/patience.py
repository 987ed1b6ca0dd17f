"""How long tests wait for what has to happen: until a hang is the only reason that is left.

A machine that is five times slower, or has other work, passes every test. What is measured in
fractions of a second is marked `quiet`, and has no other tests beside it.
"""

import time
from collections.abc import Callable

from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import MultiSignalBlocker, QtBot, SignalBlocker

PATIENCE_S = 60.0
PATIENCE_MS = 60_000


class PatientQtBot(QtBot):
    """pytest-qt's `qtbot`, which waits five seconds by itself."""

    def waitUntil(self, callback, *, timeout: int = PATIENCE_MS) -> None:
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal, *, timeout: int = PATIENCE_MS, **how) -> SignalBlocker:
        return super().waitSignal(signal, timeout=timeout, **how)

    def waitSignals(self, signals, *, timeout: int = PATIENCE_MS, **how) -> MultiSignalBlocker:
        return super().waitSignals(signals, timeout=timeout, **how)

    def waitExposed(self, widget: QWidget, *, timeout: int = PATIENCE_MS) -> None:
        """Waits at once. pytest-qt's own waits at the end of a `with`, and otherwise not at all."""
        with super().waitExposed(widget, timeout=timeout):
            pass

    def waitActive(self, widget: QWidget, *, timeout: int = PATIENCE_MS) -> None:
        """Waits at once, as `waitExposed` does."""
        with super().waitActive(widget, timeout=timeout):
            pass


def wait_until(condition: Callable[[], object], missing: Callable[[], object] | str = "") -> None:
    """Waits for what has to happen; `missing` is said where it does not."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, missing() if callable(missing) else missing
        time.sleep(0.02)
