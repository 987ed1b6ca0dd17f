"""Ctrl-C during work that must not be interrupted by an exception."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import pytest

from deepseek_r1.core.interrupts import deferred_interrupt
from support.patience import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal elsewhere only")


def interrupted(then: Callable[[], object], on_press: Callable[[], None]) -> None:
    """Press Ctrl-C in a deferring block, then go on in it."""
    with deferred_interrupt(on_press) as interrupt:
        signal.raise_signal(signal.SIGINT)
        then()
        assert interrupt.pressed


def test_ctrl_c_is_acted_on_by_another_thread_and_raised_at_the_end() -> None:
    threads: list[threading.Thread] = []
    told, went_on = threading.Event(), []

    def on_press() -> None:
        threads.append(threading.current_thread())
        if threads[-1] is not threading.main_thread():
            told.set()

    with pytest.raises(KeyboardInterrupt):
        interrupted(lambda: went_on.append(told.wait(PATIENCE_S)), on_press)
    assert went_on == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_event_loop_is_still_told_of_signals() -> None:
    received, wakeup = socket.socketpair()
    with received, wakeup:
        wakeup.setblocking(False)
        received.settimeout(PATIENCE_S)
        before = signal.set_wakeup_fd(wakeup.fileno())
        numbers: list[bytes] = []
        try:
            with pytest.raises(KeyboardInterrupt):
                interrupted(lambda: numbers.append(received.recv(1)), lambda: None)
            assert numbers == [bytes([signal.SIGINT])]
        finally:
            assert signal.set_wakeup_fd(before) == wakeup.fileno()


def test_a_handler_of_the_program_stays_in_force() -> None:
    seen: list[str] = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("program"))
    try:
        with deferred_interrupt(lambda: seen.append("deferred")):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["program"]


def test_ctrl_c_in_one_block_says_nothing_to_the_next() -> None:
    pressed_again: list[int] = []
    for _ in range(50):
        with pytest.raises(KeyboardInterrupt):
            interrupted(lambda: None, lambda: None)
        with deferred_interrupt(lambda: pressed_again.append(1)):
            time.sleep(0.005)
    assert pressed_again == []
