"""A hundred answers: streamed and stored they are drawn the same, pixel for pixel."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.messages.view import STYLE_SHEET
from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import Slicer
from support.answer_corpus import answers

ANSWERS = answers()
Bodies = Callable[[], MarkdownView]


@pytest.fixture
def service(qtbot: QtBot) -> Iterator[FormulaService]:
    service = FormulaService()
    yield service
    process = service._process
    service.stop()
    if process is not None:
        qtbot.waitUntil(lambda: not isValid(process))


@pytest.fixture
def make_body(qtbot: QtBot, service: FormulaService) -> Iterator[Bodies]:
    window = QWidget()
    window.setStyleSheet(STYLE_SHEET)  # as in the chat, whatever theme was in force before
    window.resize(800, 600)
    qtbot.addWidget(window)
    window.show()
    slicer = Slicer(window)

    def make() -> MarkdownView:
        body = MarkdownView(TextStyle.of(window.font(), service), slicer, window)
        body.show()
        body.fit_width(620)
        return body

    yield make
    qtbot.waitUntil(lambda: not slicer.busy)
    window.close()


def picture(body: MarkdownView) -> QImage:
    body.fit_width(620)
    return body.grab().toImage()


def test_the_corpus_has_a_hundred_answers() -> None:
    assert len(set(ANSWERS)) == 100


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_streamed_and_stored_answers_are_drawn_the_same(
    first: int, make_body: Bodies, service: FormulaService, qtbot: QtBot
) -> None:
    chance = random.Random(first)
    for number in range(first, first + 20):
        text = ANSWERS[number]
        streamed, stored = make_body(), make_body()
        at = 0
        while at < len(text):
            size = chance.randint(1, 12)
            streamed.feed(text[at : at + size])
            at += size
        streamed.finish()
        stored.load(text)
        slicer = stored._slicer
        qtbot.waitUntil(lambda slicer=slicer: not (slicer.busy or service.is_busy))
        assert streamed.plain_text() == stored.plain_text(), number
        assert picture(streamed) == picture(stored), number
        for body in (streamed, stored):
            body.hide()
            body.deleteLater()
