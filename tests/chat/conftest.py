"""Chat widgets on an offscreen screen."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from r1desk.chat import ChatView
from r1desk.chat.body import MarkdownBody
from r1desk.chat.ink import Ink
from r1desk.chat.slices import Slicer


@pytest.fixture(autouse=True)
def no_collections() -> Iterator[None]:
    """No collection of cycles inside of a step that is timed.

    The application has them between its steps (`r1desk.main_thread_gc`). Here one would walk the
    heap of all tests before, which takes longer than any step may.
    """
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def view(qtbot: QtBot) -> Iterator[ChatView]:
    # Inside of a plain window: the offscreen platform warns of windows with a smallest size.
    window = QWidget()
    window.resize(900, 700)
    qtbot.addWidget(window)
    view = ChatView(window)
    view.resize(900, 700)
    window.show()
    yield view
    window.close()


@pytest.fixture
def make_body(qtbot: QtBot) -> Iterator[Callable[[], MarkdownBody]]:
    """Bodies inside of one shown window."""
    window = QWidget()
    window.resize(800, 600)
    qtbot.addWidget(window)
    window.show()
    slicer = Slicer(window)

    def make() -> MarkdownBody:
        body = MarkdownBody(Ink.of(window.palette(), window.font()), slicer, window)
        body.show()
        return body

    yield make
    window.close()


@pytest.fixture
def settled(qtbot: QtBot) -> Callable[[ChatView], None]:
    """Wait until a view has nothing left to build."""

    def wait(view: ChatView) -> None:
        slicer = view.findChild(Slicer)
        qtbot.waitUntil(lambda: not slicer.busy, timeout=20_000)
        qtbot.wait(20)

    return wait
