"""A place says where it is in words; a document's text is its blocks."""

import pytest

from deepseek_r1.documents.document import Block, Document, Passage, Place
from deepseek_r1.documents.passages import passages


@pytest.mark.parametrize(
    ("place", "label"),
    [
        (Place(page=3), "page 3"),
        (Place(page=3, heading="Results"), "page 3"),
        (Place(sheet="Sheet1", row=7), "Sheet1, row 7"),
        (Place(line=12), "line 12"),
        (Place(heading="Rye bread", line=12), "Rye bread, line 12"),
        (Place(heading="Results " * 9, line=1), "Results Results Results Results…, line 1"),
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


def test_a_sentence_stands_below_the_last_heading_before_it() -> None:
    text = "# Recipes\n\nFor two.\n\n## Rye bread\nBake it 55 minutes.\n\n## Pancakes\nFry them."
    headings = tuple(text.index(each) for each in ("# R", "## R", "## P"))
    of_file = Passage("ab", "a.md", 0, Place(heading="Recipes", line=1), text, 0, 90, headings)
    assert of_file.place_of("For two.").label() == "Recipes, line 1"
    assert of_file.place_of("Bake it 55 minutes.").label() == "Rye bread"
    assert of_file.place_of("Fry them.").label() == "Pancakes"
