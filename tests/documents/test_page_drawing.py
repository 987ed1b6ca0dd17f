"""Pages of a PDF, drawn by the locked process, with the place of a text on them."""

import pytest
from PIL import Image

from deepseek_r1.documents import page_drawing
from deepseek_r1.documents.document import WordBox
from deepseek_r1.documents.errors import DocumentRefused
from deepseek_r1.documents.page_drawing import DrawnPage, PageDrawer, with_recognised
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.memory.meter import tree_mib
from support import document_files as made

LINES = ("The harbour was closed.", "The ferry sails", "again since June.")


@pytest.fixture
def drawing(tmp_path):
    """Makes what draws the pages of a file, without a budget if none is given."""
    made_here = []

    def of(name: str, data: bytes, memory: ReadingMemory | None = None) -> PageDrawer:
        (path := tmp_path / name).write_bytes(data)
        made_here.append(PageDrawer(path, name, memory or ReadingMemory()))
        return made_here[-1]

    yield of
    for each in made_here:
        each.close()


@pytest.fixture
def drawer(drawing) -> PageDrawer:
    return drawing("a.pdf", made.pdf([made.pdf_lines("One"), made.pdf_lines(*LINES)]))


def rows_with_ink(page: DrawnPage) -> set[int]:
    length = 3 * page.width
    lines = (page.pixels[at : at + length] for at in range(0, len(page.pixels), length))
    return {row for row, line in enumerate(lines) if min(line) < 128}


def test_a_text_is_found_where_it_is_drawn_whatever_its_spaces_and_signs(drawer: PageDrawer):
    page = drawer.draw(2, 600, "the FERRY sails, again\n since june")
    assert page.width == 600
    ink = rows_with_ink(page)
    for left, top, width, height in page.marks:
        assert left + width <= page.width
        assert ink & set(range(top, top + height))
    (_, first, *_), *_, (_, last, *_) = page.marks
    assert min(ink) < first < last  # two lines, below the first one
    assert not drawer.draw(2, 600, "another text").marks
    assert not drawer.draw(1, 600, "the ferry").marks


def test_every_place_of_a_text_is_marked(drawing):
    lines = made.pdf_lines("A ferry sails.", "It is late.", "No ferry, no ferry.")
    assert len(drawing("a.pdf", made.pdf([lines])).draw(1, 600, "Ferry").marks) == 3
    word = WordBox("ferry", 0.99, 0.1, 0.2, 0.3, 0.4)
    boxes = [word, word._replace(text="is"), word._replace(text="no"), word._replace(top=0.3)]
    scan = with_recognised(DrawnPage(100, 200, b"", ()), boxes, "ferry")
    assert scan.marks == ((10, 40, 20, 40), (10, 60, 20, 20))


def test_a_page_that_was_drawn_is_kept_until_others_take_its_place(drawer, monkeypatch):
    page = drawer.draw(1, 600)
    drawer.close()
    assert drawer.draw(1, 600) is page
    monkeypatch.setattr(page_drawing, "_KEPT_BYTES", len(page.pixels))
    drawer.draw(2, 600)
    assert drawer.draw(1, 600) is not page


def test_a_page_that_is_not_there_is_refused_and_the_next_is_drawn(drawer: PageDrawer):
    with pytest.raises(DocumentRefused, match="it has no page 3"):
        drawer.draw(3, 600)
    assert rows_with_ink(drawer.draw(1, 600))


def test_a_model_leaves_the_memory_as_long_as_pages_are_drawn(drawing):
    left: list[float] = []
    budget_mib = tree_mib() + 40  # of which a reader needs more

    def reduce_weights(mib: float) -> bool:
        left.append(mib)
        return True

    memory = ReadingMemory(lambda: budget_mib + sum(left[-1:]), reduce_weights)
    drawer = drawing("a.pdf", made.pdf([made.pdf_lines("One")]), memory)
    drawer.draw(1, 600)
    assert left[-1] > 0
    drawer.close()
    assert left[-1] == 0


def test_the_largest_picture_that_is_read_is_drawn(drawing):
    picture = made.png(Image.new("RGB", (7_000, 7_000), "white"))
    page = drawing("large.png", picture).draw(1, 600)
    assert (page.width, page.height) == (600, 600)
    assert set(page.pixels[:300]) == {255}


@pytest.mark.parametrize(
    ("data", "budget_mib", "said"),
    [
        (made.locked_pdf("geheim", "4711"), None, "It is password-protected"),
        (made.expanding_forms(), None, r"a\.pdf"),  # it would never end
        (made.pdf([]), 60.0, "the memory budget of 60"),
    ],
)
def test_a_page_that_cannot_be_drawn_is_refused_by_its_true_name(drawing, data, budget_mib, said):
    memory = ReadingMemory(lambda: budget_mib) if budget_mib else None
    with pytest.raises(DocumentRefused, match=said):
        drawing("a.pdf", data, memory).draw(1, 600)
