"""Chat widgets on an offscreen screen."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from chat.chat_stack import ChatStack, chat_stack
from chat.shown_messages import Show
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.messages.view import STYLE_SHEET, ChatView
from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import Slicer
from r1desk.store import ChatMessage


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
def make_body(qtbot: QtBot) -> Callable[..., MarkdownView]:
    """Bodies inside of one shown window, styled as in the chat whatever theme is in force."""
    window = QWidget()
    window.setStyleSheet(STYLE_SHEET)
    window.resize(800, 600)
    qtbot.addWidget(window)
    window.show()
    slicer = Slicer(window)

    def make(formulas: FormulaService | None = None) -> MarkdownView:
        body = MarkdownView(TextStyle.of(window.font(), formulas), slicer, window)
        body.show()
        return body

    return make


@pytest.fixture
def service(qapp: QApplication) -> Iterator[FormulaService]:
    """The formulas of a test, with a child process of its own."""
    service = FormulaService()
    yield service
    service.close()


@pytest.fixture
def formula_body(make_body, service) -> Callable[[], MarkdownView]:
    """Makes bodies with formulas."""

    def make() -> MarkdownView:
        body = make_body(service)
        body.fit_width(700)
        return body

    return make


@pytest.fixture
def settled(qtbot: QtBot) -> Callable[[ChatView], None]:
    """Wait until a view has nothing left to build."""

    def wait(view: ChatView) -> None:
        slicer = view.findChild(Slicer)
        while True:
            qtbot.waitUntil(lambda: not slicer.busy)
            qtbot.wait(20)
            if not slicer.busy:  # what was built may have room for more
                return

    return wait


@pytest.fixture
def show(view: ChatView, settled: Callable[[ChatView], None]) -> Show:
    """Show a branch, until all of it is built."""

    def shown(branch: list[ChatMessage]) -> None:
        view.show_branch(branch)
        settled(view)

    return shown


@pytest.fixture
def stack(qapp: QApplication, tmp_path: Path) -> Iterator[ChatStack]:
    """The chat without its widgets; the test is the engine."""
    with chat_stack(tmp_path) as made:
        yield made
