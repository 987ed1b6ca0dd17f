"""Work beside the main thread: objects of Qt end in the main thread, and errors are heard of."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
import shiboken6
from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import ErrorReport, ModelFileMissing
from r1desk.platform.background_thread import ask_in_background, in_background, stream_in_background
from r1desk.platform.main_thread_gc import MainThreadCollector
from support.patience import PATIENCE_S


class Asker(QObject):
    found = Signal(int)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """The exceptions that ended a thread."""
    errors: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: errors.append(args.exc_value))
    return errors


def test_the_last_reference_is_let_go_in_the_main_thread(qapp: QApplication) -> None:
    ended_in: list[int] = []
    asker, go = Asker(), threading.Event()
    weakref.finalize(asker, lambda: ended_in.append(threading.get_ident()))
    thread = in_background(asker, work_of(asker, go))
    del asker
    go.set()
    thread.join()
    assert ended_in == []
    in_background(QObject(), lambda: None).join()
    assert ended_in == [threading.get_ident()]


def work_of(asker: Asker, go: threading.Event) -> Callable[[], None]:
    def work() -> None:
        go.wait(PATIENCE_S)
        asker.found.emit(1)

    return work


def test_a_result_for_an_asker_that_qt_has_deleted_is_dropped(
    qapp: QApplication, reported: list[BaseException | None]
) -> None:
    asker, go = Asker(), threading.Event()
    thread = in_background(asker, work_of(asker, go))
    shiboken6.delete(asker)
    go.set()
    thread.join()
    assert reported == []


def test_an_error_that_only_speaks_of_something_deleted_is_reported(
    qapp: QApplication, reported: list[BaseException | None]
) -> None:
    error = RuntimeError("Internal C++ object (QTimer) already deleted.")

    def work() -> None:
        raise error

    in_background(Asker(), work).join()
    assert reported == [error]


class Receiver(QObject):
    """Collects what its slots are called with, and in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[object, int]] = []

    @Slot(object)
    def on_call(self, value: object) -> None:
        self.calls.append((value, threading.get_ident()))


def test_results_come_to_the_main_thread_in_order(qtbot: QtBot) -> None:
    receiver = Receiver()
    stream_in_background(lambda: iter(["first", "second"])).done.connect(receiver.on_call)
    qtbot.waitUntil(lambda: len(receiver.calls) == 2)
    here = threading.get_ident()
    assert receiver.calls == [("first", here), ("second", here)]


def test_an_error_of_the_users_world_is_a_report(qtbot: QtBot) -> None:
    def work() -> None:
        raise ModelFileMissing(path="gone.gguf")

    receiver = Receiver()
    ask_in_background(work).failed.connect(receiver.on_call)
    qtbot.waitUntil(lambda: bool(receiver.calls))
    assert receiver.calls[0][0] == ModelFileMissing(path="gone.gguf").report()


def test_a_bug_is_reported_and_leaves_nobody_waiting(
    qtbot: QtBot, reported: list[BaseException | None]
) -> None:
    def divide() -> object:
        return 1 // 0

    failed: list[ErrorReport] = []
    ask_in_background(divide).failed.connect(failed.append)
    qtbot.waitUntil(lambda: bool(failed) and bool(reported))
    assert failed[0].code == "EngineFailed"
    assert "ZeroDivisionError" in failed[0].text()
    assert isinstance(reported[0], ZeroDivisionError)


def test_what_was_abandoned_says_nothing(qtbot: QtBot) -> None:
    receiver, go = Receiver(), threading.Event()
    waiting = ask_in_background(lambda: go.wait(PATIENCE_S))
    waiting.done.connect(receiver.on_call)
    ready = ask_in_background(lambda: "ready")
    ready.done.connect(receiver.on_call)
    qtbot.waitUntil(lambda: bool(receiver.calls))
    ready.give("late")  # is under way when it is abandoned
    for answer in (waiting, ready):
        answer.abandon()
    go.set()
    ask_in_background(lambda: "last").done.connect(receiver.on_call)
    qtbot.waitUntil(lambda: len(receiver.calls) == 2)
    assert [value for value, _ in receiver.calls] == ["ready", "last"]


def test_another_thread_that_allocates_collects_nothing(qtbot: QtBot) -> None:
    owner = QObject()
    collector = MainThreadCollector(owner)
    try:
        ended_in: list[int] = []
        thing = QObject()
        thing.me = thing
        weakref.finalize(thing, lambda: ended_in.append(threading.get_ident()))
        del thing
        busy = threading.Thread(target=lambda: [[] for _ in range(100_000)])
        busy.start()
        busy.join()
        assert ended_in == []
        keep = [[] for _ in range(2000)]
        qtbot.waitUntil(lambda: bool(keep) and bool(ended_in))
        assert ended_in == [threading.get_ident()]
    finally:
        collector.close()
    assert gc.isenabled()
