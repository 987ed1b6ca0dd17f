"""Formulas in answers: drawn once they are set, source before, LaTeX again when copied."""

from collections.abc import Callable

import pytest
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from chat.shown_messages import text_of
from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.text.prose_view import ProseView
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import Slicer

Bodies = Callable[[], MarkdownView]
ANSWER = r"""The equation \( ax^2 + bx + c = 0 \) has the roots

\[
x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
\]

1. one: $x_1 = 3$
2. two: \[ x_2 = 2 \] and more

| a | b |
|---|---|
| \(n^2\) | $5 |

Not known: \(\foo{x}\). **Answer:** \boxed{42}
"""


def drawn(body: MarkdownView) -> int:
    """How many formulas stand in the body as objects."""
    return sum(
        view.document().toPlainText().count("\ufffc") for view in body.findChildren(ProseView)
    )


def test_formulas_are_source_until_they_are_set_and_drawn_at_once_when_they_are_known(
    formula_body: Bodies, qtbot: QtBot
) -> None:
    body = formula_body()
    with qtbot.waitSignal(body.grown):
        body.load(ANSWER)
        assert drawn(body) == 0
        assert r"\( ax^2 + bx + c = 0 \)" in text_of(body)
    qtbot.waitUntil(lambda: drawn(body) == 6)
    assert r"\(\foo{x}\)" in text_of(body)
    again = formula_body()
    again.load(ANSWER)
    assert drawn(again) == 6


def test_copied_formulas_are_latex_with_their_delimiters(formula_body, qtbot):
    body = formula_body()
    body.load(ANSWER)
    qtbot.waitUntil(lambda: drawn(body) == 6)
    copied = []
    for view in body.findChildren(ProseView):
        view.selectAll()
        copied.append(view.createMimeDataFromSelection().text())
    text = "\n".join(copied)
    assert r"The equation \( ax^2 + bx + c = 0 \) has" in text
    assert "\\[\nx = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}\n\\]" in text
    assert "1. one: $x_1 = 3$" in text
    assert "\\(n^2\\)\t$5" in text
    assert "\ufffc" not in text
    assert "\ufdd0" not in text


def test_a_selected_formula_has_the_colour_of_selected_text(formula_body, qtbot):
    body = formula_body()
    body.load(r"\(\mathbf{M}\)")
    qtbot.waitUntil(lambda: drawn(body) == 1)
    view = body.findChild(ProseView)
    view.fit_width(700)
    view.selectAll()
    picture = view.grab().toImage().copy(0, 0, 20, 20)
    lightest = max(picture.pixelColor(x, y).lightnessF() for x in range(20) for y in range(20))
    assert lightest == pytest.approx(view.palette().highlightedText().color().lightnessF(), abs=0.1)


def test_a_part_of_the_text_is_copied_without_its_neighbours(formula_body, qtbot):
    body = formula_body()
    body.load(r"before \(x\) after \(y\) end")
    qtbot.waitUntil(lambda: drawn(body) == 2)
    view = body.findChild(ProseView)
    cursor = view.textCursor()
    cursor.setPosition(len("before "))
    cursor.movePosition(
        QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.KeepAnchor, len("x after ")
    )
    view.setTextCursor(cursor)
    assert view.createMimeDataFromSelection().text() == r"\(x\) after "


def test_screen_readers_get_formulas_in_words(formula_body: Bodies, qtbot: QtBot) -> None:
    body = formula_body()
    body.load(r"so \(x^2 = 4\).")
    qtbot.waitUntil(lambda: drawn(body) == 1)
    assert "x squared equals 4" in body.findChild(ProseView).accessible_text()


def test_an_unfinished_formula_is_its_source(formula_body: Bodies) -> None:
    body = formula_body()
    body.feed("so \\[ x_1 = *2* \\frac{1}")
    assert text_of(body) == "so \\[ x_1 = *2* \\frac{1}"


def test_a_formula_wider_than_the_column_is_drawn_smaller(formula_body, qtbot):
    body = formula_body()
    body.load("$$" + "+".join(f"a_{{{n}}}" for n in range(24)) + "$$")
    qtbot.waitUntil(lambda: drawn(body) == 1)
    body.fit_width(700)
    view = body.findChild(ProseView)
    wide = view.ideal_width()
    body.fit_width(500)
    assert wide <= 701
    assert view.ideal_width() <= 501


def test_without_a_typesetter_formulas_are_readable_source(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    body = MarkdownView(TextStyle.of(window.font()), Slicer(window), window)
    body.load(ANSWER)
    assert drawn(body) == 0
    assert r"\boxed{42}" in text_of(body)
