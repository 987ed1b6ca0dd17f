"""Long code is copied whole, very many blocks of it are text, and lexers are compiled in steps."""

import re
from itertools import pairwise

from pygments.lexers import find_lexer_class_by_name
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QToolButton

from chat.shown_messages import text_of
from r1desk.chat.text.block_splitter import MAX_CODE_LINES
from r1desk.chat.text.code_box import CodeBox
from r1desk.chat.text.highlight import prepared_lexer


def test_long_code_is_several_boxes_and_copying_gives_all_of_it(make_body, qtbot):
    code = "\n".join(f"line {number}" for number in range(MAX_CODE_LINES + 50))
    body = make_body()
    body.load(f"```\n{code}\n```\n")
    qtbot.waitUntil(lambda: body.finished)
    assert len(body.findChildren(CodeBox)) == 2
    assert text_of(body) == code
    copy = next(b for b in body.findChildren(QToolButton) if b.accessibleName() == "Copy code")
    before = copy.icon().pixmap(16).toImage()
    copy.click()
    assert QGuiApplication.clipboard().text() == code
    assert copy.icon().pixmap(16).toImage() != before
    qtbot.waitUntil(lambda: copy.icon().pixmap(16).toImage() == before)


def test_of_very_many_blocks_of_code_only_the_first_are_widgets(make_body, qtbot):
    """10,000 as widgets took 1,368 MiB."""
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
