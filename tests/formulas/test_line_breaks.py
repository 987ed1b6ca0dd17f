"""Where long formulas are broken into lines."""

from __future__ import annotations

import itertools
import json

import pytest

from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines, read_reply
from r1desk.chat.formulas.latex import CannotTypeset, typeset
from r1desk.chat.formulas.line_breaks import break_places

SUM = "f(x) = " + " + ".join(f"a_{{{n}}} x^{{{n}}}" for n in range(40))


def layout(source: str) -> FormulaLayout:
    data = typeset(source, display=True, language="en")
    found = read_reply(json.dumps({"number": 1, "layout": data}).encode(), GlyphOutlines())[1]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("source", "pieces"),
    [
        ("a = b + c", ["a ", "= b ", "+ c"]),
        (r"\frac{a = b}{c} = d", [r"\frac{a = b}{c} ", "= d"]),
        (r"\left( a + b \right) + c", [r"\left( a + b \right) ", "+ c"]),
        (r"\begin{cases} a = b \end{cases} = c", [r"\begin{cases} a = b \end{cases} ", "= c"]),
        ("a = -b", ["a ", "= -b"]),
        ("(a + b) - c", ["(a + b) ", "- c"]),
        ("x", ["x"]),
        ("= x", ["= x"]),
    ],
)
def test_lines_end_before_relations_and_operators(source: str, pieces: list[str]) -> None:
    places = [0, *break_places(source), len(source)]
    assert [source[a:b] for a, b in itertools.pairwise(places)] == pieces


@pytest.mark.parametrize("width", [15_000.0, 25_000.0, 40_000.0])
def test_lines_are_no_wider_than_the_column(width: float) -> None:
    lines = layout(SUM).lines(width)
    assert len(lines) > 1
    assert all(end - start <= width for start, end in lines)


def test_lines_follow_each_other_without_a_gap() -> None:
    formula = layout(SUM)
    lines = formula.lines(20_000.0)
    assert lines[0][0] == 0.0
    assert lines[-1][1] == formula.width
    assert all(above[1] == below[0] for above, below in itertools.pairwise(lines))


def test_a_formula_that_fits_is_one_line() -> None:
    formula = layout("a = b")
    assert formula.lines(30_000.0) == ((0.0, formula.width),)


def test_what_no_column_could_hold_stays_source() -> None:
    with pytest.raises(CannotTypeset):
        typeset("x" * 300, display=True, language="en")
