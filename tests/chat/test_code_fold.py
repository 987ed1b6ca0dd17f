"""Long code is folded, drawn so while it grows, opened by a button, and copied whole.

Very many blocks of code are text: 10,000 as widgets took 1,368 MiB. Lexers are compiled in steps.
"""

import re
from collections.abc import Callable
from itertools import pairwise

from pygments.lexers import find_lexer_class_by_name
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from chat.shown_messages import text_of
from r1desk.chat.text.block_splitter import MAX_CODE_LINES
from r1desk.chat.text.code_box import FOLD_OVER, FOLDED_LINES, CodeBox
from r1desk.chat.text.highlight import prepared_lexer
from r1desk.chat.text.markdown_view import MarkdownView

Bodies = Callable[[], MarkdownView]


def code(lines: int) -> str:
    return "\n".join(f"line {number}" for number in range(1, lines + 1))


def loaded(make_body: Bodies, qtbot: QtBot, lines: int) -> MarkdownView:
    body = make_body()
    body.load(f"```\n{code(lines)}\n```\n")
    qtbot.waitUntil(lambda: body.finished)
    body.fit_width(600)
    return body


def button(body: MarkdownView, text: str) -> QToolButton:
    found = [b for b in body.findChildren(QToolButton) if b.text() == text]
    assert len(found) == 1
    return found[0]


def test_code_of_ordinary_length_is_shown_whole(make_body: Bodies, qtbot: QtBot) -> None:
    body = loaded(make_body, qtbot, FOLD_OVER)
    assert text_of(body) == code(FOLD_OVER)


def test_long_code_shows_its_first_lines(make_body: Bodies, qtbot: QtBot) -> None:
    body = loaded(make_body, qtbot, FOLD_OVER + 1)
    assert text_of(body) == code(FOLDED_LINES)


def test_the_button_shows_all_lines_and_hides_them_again(make_body: Bodies, qtbot: QtBot) -> None:
    lines = MAX_CODE_LINES + 50
    body = loaded(make_body, qtbot, lines)
    folded = body.fit_width(600)
    button(body, f"Show all {lines} lines").click()
    opened = body.fit_width(600)
    assert [box.isVisibleTo(body) for box in body.findChildren(CodeBox)] == [True, True]
    button(body, "Show fewer lines").click()
    assert body.fit_width(600) == folded < opened


def test_copying_folded_code_gives_all_of_it(make_body: Bodies, qtbot: QtBot) -> None:
    lines = MAX_CODE_LINES + 50
    body = loaded(make_body, qtbot, lines)
    copy = next(b for b in body.findChildren(QToolButton) if b.accessibleName() == "Copy code")
    before = copy.icon().pixmap(16).toImage()
    copy.click()
    assert QGuiApplication.clipboard().text() == code(lines)
    assert copy.icon().pixmap(16).toImage() != before
    qtbot.waitUntil(lambda: copy.icon().pixmap(16).toImage() == before)


def test_code_that_grows_is_folded_on_the_way(make_body: Bodies, qtbot: QtBot) -> None:
    body = make_body()
    body.feed("```\n")
    for number in range(1, FOLD_OVER + 20):
        body.feed(f"line {number}\n")
    assert text_of(body) == code(FOLDED_LINES)


def test_of_very_many_blocks_of_code_only_the_first_are_widgets(make_body, qtbot):
    blocks = 2_000
    body = make_body()
    body.load("```\na\n```\n" * blocks)
    qtbot.waitUntil(lambda: body.finished)
    assert len(body.findChildren(CodeBox)) == 200
    assert text_of(body).split() == ["a"] * blocks


def prepared(language, compiled=()):
    """The lexer, and the number of `compiled` after each step; nothing was compiled before."""
    kind = find_lexer_class_by_name(language)
    for name in ("_tokens", "_all_tokens"):
        if name in vars(kind):
            delattr(kind, name)
    re.purge()
    steps, counts = prepared_lexer(language), [0]
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, counts
        finally:
            counts.append(len(compiled))


def test_a_step_compiles_no_more_than_two_expressions(monkeypatch):
    compiled, real = [], re._compiler.compile
    monkeypatch.setattr(re._compiler, "compile", lambda *a: compiled.append(a) or real(*a))
    _, counts = prepared("python", compiled)
    assert counts[-1] > 50
    assert max(after - before for before, after in pairwise(counts)) <= 2


def test_an_unknown_language_has_no_lexer():
    made = []

    def steps():
        made.append((yield from prepared_lexer("no such language")))

    list(steps())
    assert made == [None]
