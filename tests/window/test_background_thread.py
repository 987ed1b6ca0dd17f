"""Work beside the main thread: objects of Qt end in the main thread, and errors are heard of."""

import gc
import threading
import weakref

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import EngineFailed, ModelFileMissing
from r1desk.platform.background_thread import ask_in_background, stream_in_background
from r1desk.platform.qt_application import MainThreadCollector
from support.awaiting import result_of
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
    go.set()
    result_of(answer)
    assert ended_in == []

    def asked_again() -> bool:
        ask_in_background(lambda: None)
        return bool(ended_in)

    qtbot.waitUntil(asked_again)
    assert ended_in == [threading.get_ident()]


def test_results_come_to_the_main_thread_in_order(qtbot: QtBot) -> None:
    came: list[tuple[str, int]] = []

    async def take() -> None:
        async for result in stream_in_background(lambda: iter(["first", "second"])):
            came.append((result, threading.get_ident()))

    result_of(take())
    here = threading.get_ident()
    assert came == [("first", here), ("second", here)]


def test_an_error_of_the_users_world_is_raised_where_the_result_is_awaited(qtbot: QtBot) -> None:
    def work() -> None:
        raise ModelFileMissing(path="gone.gguf")

    with pytest.raises(ModelFileMissing):
        result_of(ask_in_background(work))


def test_a_bug_is_reported_and_leaves_nobody_waiting(qtbot, reported):
    def divide() -> object:
        return 1 // 0

    with pytest.raises(EngineFailed, match="ZeroDivisionError"):
        result_of(ask_in_background(divide))
    qtbot.waitUntil(lambda: bool(reported))
    assert isinstance(reported[0], ZeroDivisionError)


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
