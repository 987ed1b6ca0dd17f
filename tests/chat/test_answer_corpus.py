"""A hundred answers: streamed and stored they are drawn the same, pixel for pixel."""

import random
from collections.abc import Callable

import pytest
from PySide6.QtGui import QImage

from chat.shown_messages import text_of
from r1desk.chat.text.markdown_view import MarkdownView
from support.answer_corpus import answers

ANSWERS = answers()
Bodies = Callable[[], MarkdownView]


def picture(body: MarkdownView) -> QImage:
    body.fit_width(620)
    return body.grab().toImage()


def test_the_corpus_has_a_hundred_answers() -> None:
    assert len(set(ANSWERS)) == 100


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_streamed_and_stored_answers_are_drawn_the_same(first, formula_body, service, qtbot):
    chance = random.Random(first)
    for number in range(first, first + 20):
        text, longest = ANSWERS[number], 12 if number % 4 == 0 else 60
        streamed, stored = formula_body(), formula_body()
        at = 0
        while at < len(text):
            size = chance.randint(1, longest)
            streamed.feed(text[at : at + size])
            at += size
        streamed.finish()
        stored.load(text)
        slicer = stored._slicer
        qtbot.waitUntil(lambda slicer=slicer: not (slicer.busy or service.is_busy))
        assert text_of(streamed) == text_of(stored), number
        assert picture(streamed) == picture(stored), number
        for body in (streamed, stored):
            body.hide()
            body.deleteLater()
