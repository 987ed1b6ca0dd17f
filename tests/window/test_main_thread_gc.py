"""Widgets in cycles are destroyed by the main thread, whoever allocates."""

from __future__ import annotations

import gc
import threading
import weakref

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from r1desk.platform.main_thread_gc import MainThreadCollector


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
