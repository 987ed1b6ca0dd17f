"""A place says where it is in words; a document's text is its blocks."""

import pytest

from deepseek_r1.documents.document import Block, Document, Place
from deepseek_r1.documents.passages import excerpt, passages


@pytest.mark.parametrize(
    ("place", "label"),
    [
        (Place(page=3), "page 3"),
        (Place(page=3, heading="Results"), "page 3"),
        (Place(sheet="Sheet1", row=7), "Sheet1, row 7"),
        (Place(line=12), "line 12"),
        (Place(heading="Results"), "Results"),
        (Place(), ""),
    ],
)
def test_the_finest_place_is_named(place: Place, label: str) -> None:
    assert place.label() == label


def test_the_text_is_all_blocks_with_blank_lines_between() -> None:
    blocks = (Block("one", Place(page=1)), Block("two", Place(page=2)))
    assert Document("a.pdf", "0" * 64, "pdf", 2, blocks).text() == "one\n\ntwo"


def test_very_short_lines_are_passages_of_the_usual_length() -> None:
    text = "a\n" * 5_000
    document = Document("a.txt", "0" * 64, "text", None, (Block(text, Place(line=1)),))
    parts = [*passages(document)]
    assert 5 < len(parts) < 100
    assert "".join(each.text for each in parts) == text


def test_an_excerpt_shows_the_place_that_names_most_of_the_question():
    text = "Nothing of note. " * 40 + "The code of station Marlow is 4711. " + "It rained. " * 40
    shown = excerpt(text, "What is the code of the station Marlow?", 120)
    assert "The code of station Marlow is 4711." in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) <= 122
    assert excerpt("Short.", "Marlow?", 120) == "Short."
    assert excerpt("", "", 120) == ""
    assert "密码" in excerpt("今天下雨。" * 60 + "车站的密码是 4711。", "车站的密码是什么？", 40)
