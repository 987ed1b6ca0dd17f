"""Work beside the main thread: objects of Qt end in the main thread, and errors are heard of."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from PySide6.QtCore import QObject, Slot
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import ErrorReport, ModelFileMissing
from r1desk.platform.background_thread import ask_in_background, stream_in_background
from r1desk.platform.main_thread_gc import MainThreadCollector
from support.patience import PATIENCE_S


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """The exceptions that ended a thread."""
    errors: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: errors.append(args.exc_value))
    return errors


class Asker(QObject):
    def __init__(self, go: threading.Event) -> None:
        super().__init__()
        self._go = go

    def work(self) -> None:
        self._go.wait(PATIENCE_S)


def test_what_work_holds_is_let_go_in_the_main_thread(qtbot: QtBot) -> None:
    ended_in: list[int] = []
    go = threading.Event()
    asker = Asker(go)
    weakref.finalize(asker, lambda: ended_in.append(threading.get_ident()))
    answer = ask_in_background(asker.work)
    del asker
    with qtbot.waitSignal(answer.ended):
        go.set()
    assert ended_in == []

    def asked_again() -> bool:
        ask_in_background(lambda: None)
        return bool(ended_in)

    qtbot.waitUntil(asked_again)
    assert ended_in == [threading.get_ident()]


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


def test_a_bug_is_reported_and_leaves_nobody_waiting(qtbot, reported):
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
