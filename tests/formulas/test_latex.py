"""What the typesetter sets, what it refuses, and where its parts end up."""

import pytest

from r1desk.chat.formulas import MAX_PARTS
from r1desk.chat.formulas.formula_worker import CannotTypeset, typeset
from support.formula_corpus import FORMULAS, HOSTILE


def parts(source: str, kind: str) -> list[list[object]]:
    layout = typeset(source, display=True, language="en")
    return [part for part in layout["parts"] if part[0] == kind]  # type: ignore[union-attr]


def characters(source: str) -> list[tuple[str, float, float]]:
    return [(str(p[1]), float(p[2]), float(p[3])) for p in parts(source, "character")]  # type: ignore[arg-type]


def test_the_formulas_that_r1_writes_are_set() -> None:
    assert len(set(FORMULAS)) == 200
    for source in FORMULAS:
        for display in (True, False):
            assert typeset(source, display=display, language="en")["parts"]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_formula_is_refused_or_small(number: int) -> None:
    try:
        layout = typeset(HOSTILE[number], display=True, language="en")
    except CannotTypeset:
        return
    assert len(layout["parts"]) <= MAX_PARTS  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source", [r"\foo{x}", r"\frac{1}{", r"\left( x", "x_1_2", "\\nosuch", "x" * 300]
)
def test_what_is_not_known_not_whole_or_wider_than_any_column_is_refused(source: str) -> None:
    with pytest.raises(CannotTypeset):
        typeset(source, display=True, language="en")


def test_chinese_characters_stand_where_they_were_written() -> None:
    found = characters(r"x^{\text{上}}_{\text{下}}")
    height = {text: y for text, _, y in found}
    assert height["上"] > height["下"]


def test_chinese_text_keeps_its_order_and_repeated_characters_their_places() -> None:
    found = characters(r"\text{如果 } x < 0 \text{，否则如此}")
    assert "".join(text for text, _, _ in found) == "如果，否则如此"
    places = [x for _, x, _ in found]
    assert places == sorted(places)
    found = characters(r"\frac{\text{路程路}}{\text{时程}}")
    assert "".join(text for text, _, y in found if y > 0) == "路程路"
    assert "".join(text for text, _, y in found if y <= 0) == "时程"


@pytest.mark.parametrize(
    "source",
    [
        r"\begin{array}{c|c} a & b \\ c & d \\ e & f \end{array}",
        r"\begin{array}{c|c} \frac{1}{2} & b \\ \hline c & d \end{array}",
    ],
)
def test_the_vertical_rules_of_an_array_cover_its_height(source: str) -> None:
    layout = typeset(source, display=True, language="en")
    upright = [p for p in layout["parts"] if p[0] == "rule" and p[4] > p[3]]  # type: ignore[union-attr]
    top = max(p[2] + p[4] for p in upright)
    bottom = min(p[2] for p in upright)
    assert top == pytest.approx(layout["ascent"], abs=5)
    assert -bottom == pytest.approx(layout["descent"], abs=5)


def test_screen_readers_get_words_in_the_language_of_the_window() -> None:
    english = typeset(r"\frac{1}{2}", display=True, language="en")["speech"]
    chinese = typeset(r"\frac{1}{2}", display=True, language="zh")["speech"]
    assert english != chinese
