"""The text of pictures and scans is recognised, or a sentence says why not."""

import io
import math
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from deepseek_r1.core.errors import R1Error
from deepseek_r1.documents import reader_worker, reading
from deepseek_r1.documents.block_writer import BlockWriter
from deepseek_r1.documents.document import DOUBTFUL, WordBox
from deepseek_r1.documents.errors import DocumentIsPicture, DocumentNeedsMemory
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.page_drawing import DrawnPage, PageDrawer, with_recognised
from deepseek_r1.documents.reader_worker import write_document
from deepseek_r1.documents.reading import read_document
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.memory.meter import tree_mib
from deepseek_r1.ocr import picture_text
from deepseek_r1.ocr.recognition import RecognisedLine, ordered_text
from deepseek_r1.ocr.text_boxes import TextBox, text_boxes, word_spans
from documents.test_reading import read_here
from support import document_files as made

LINES = ("The code of the safe is 4711.", "Platform nine has a red roof.")


def recognised(path: Path) -> str:
    return "\n".join(text for _, text in read_here(path, recognises=True)[1])


def saved(folder: Path, kind: str, picture: Image.Image) -> Path:
    path = folder / f"scan.{kind}"
    picture.save(path)
    return path


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff", "bmp", "gif"])
def test_a_picture_of_every_kind_is_read_and_named_as_its_source(tmp_path, kind):
    text = recognised(saved(tmp_path, kind, made.scan(*LINES)))
    head, *lines = text.split("\n")
    assert head.startswith("[Read from a picture, 9")
    assert head.endswith("% sure.]")
    assert lines == list(LINES)


@pytest.mark.parametrize("degrees", [90, 180, 270, 3])
def test_a_page_that_is_turned_or_skewed_is_read_upright(tmp_path, degrees):
    turned = made.scan(*LINES).rotate(degrees, expand=True, fillcolor="white", resample=3)
    assert recognised(saved(tmp_path, "png", turned)).endswith("\n".join(LINES))


def read_and_drawn(path: Path, marked: str = "") -> tuple[DocumentIndex, str, DrawnPage]:
    """A picture, read into an index, and as it is shown with a text marked."""
    index, document = DocumentIndex(), read_document(path)
    index.add(document)
    recognised = partial(index.recognised, document.sha256)
    drawer = PageDrawer(path, path.name, ReadingMemory(), recognised)
    page = drawer.draw(1, 900, marked)
    drawer.close()
    return index, document.sha256, page


def ink_at(picture: Image.Image, word: WordBox) -> float:
    """The share of dark pixels where a word stands."""
    (width, height), sides = picture.size, (word.left, word.top, word.right, word.bottom)
    box = [round(side * of) for side, of in zip(sides, (width, height) * 2, strict=True)]
    dark = np.asarray(picture.convert("L").crop(tuple(box))) < 128
    return float(dark.mean())


@pytest.mark.parametrize(("degrees", "kind"), [(90, "png"), (270, "pdf"), (3, "pdf")])
def test_each_word_is_where_it_stands_on_the_page_which_is_drawn_upright(tmp_path, degrees, kind):
    turned = made.scan(*LINES).rotate(degrees, expand=True, fillcolor="white", resample=3)
    index, sha256, page = read_and_drawn(saved(tmp_path, kind, turned))
    recognised = index.recognised(sha256, 1)
    assert [word.text for word in recognised.boxes] == " ".join(LINES).split()
    assert all(word.sure > DOUBTFUL for word in recognised.boxes)
    picture = Image.frombytes("RGB", (page.width, page.height), page.pixels)
    assert all(ink_at(picture, word) > 0.05 for word in recognised.boxes)
    assert page.width > 1.5 * page.height
    first, last = recognised.boxes[0], recognised.boxes[len(LINES[0].split()) - 1]
    assert last.left - first.left > 0.4


def test_the_words_of_a_line_are_divided_by_blanks_and_chinese_by_its_characters():
    text, scores = "ab 汉字c", [0.9, 0.7, 0.2, 0.8, 0.6, 0.5]
    places = [0.1, 0.2, 0.3, 0.4, 0.6, 0.8]
    boxes = [(word, sure) for word, sure, _, _ in word_spans(text, scores, places)]
    assert boxes == [("ab", 0.7), ("汉", 0.8), ("字", 0.6), ("c", 0.5)]
    sides = [side for *_, begin, end in word_spans(text, scores, places) for side in (begin, end)]
    assert sides == pytest.approx([0, 0.3, 0.3, 0.5, 0.5, 0.7, 0.7, 1])
    assert not list(word_spans(" ", [0.9], [0.5]))


def test_the_cited_words_of_a_scan_are_marked_on_its_page(tmp_path):
    path = saved(tmp_path, "pdf", made.scan(*LINES))
    index, sha256, page = read_and_drawn(path, "platform NINE, has")
    (passage,) = index.passages(sha256)
    assert "read from a picture, 9" in passage.place.label()
    pixels = np.frombuffer(page.pixels, np.uint8).reshape(page.height, page.width, 3)
    assert len(page.marks) == 3
    for left, top, width, height in page.marks:
        assert pixels[top : top + height, left : left + width].min() < 128
        assert top > page.height / 3
    assert not page.doubtful
    index.remove(sha256)
    assert not index.recognised(sha256, 1).boxes


def test_words_that_may_be_others_are_doubtful_on_the_page():
    sure = WordBox("gate", 0.99, 0.1, 0.2, 0.3, 0.4)
    bullet = sure._replace(text="–", sure=0.3, left=0.05, right=0.1)
    boxes = [bullet, sure, sure._replace(text="4S", sure=0.6, left=0.3, right=0.5)]
    page = with_recognised(DrawnPage(100, 200, b"", ()), boxes, "Gate 4S")
    assert page.doubtful == ((30, 40, 20, 40),)
    assert page.marks == ((10, 40, 20, 40), (30, 40, 20, 40))
    typed = DrawnPage(100, 200, b"", ((1, 2, 3, 4),))
    assert with_recognised(typed, (), "Gate") is typed


def test_chinese_is_read_in_16_bits_a_pixel_too():
    text = recognised(Path(__file__).with_name("chinese.png"))
    assert text.endswith("深度学习模型在笔记本电脑上运行。")


def test_white_letters_on_what_is_transparent_are_not_lost_with_it(tmp_path):
    letters = made.scan(*LINES).convert("L").point(lambda value: 255 - value)
    layer = Image.new("RGBA", letters.size, (0, 0, 0, 0))
    layer.putalpha(letters)
    assert recognised(saved(tmp_path, "png", layer)).endswith("\n".join(LINES))


def test_a_scan_is_read_in_a_process_of_its_own_page_by_page(tmp_path):
    made.scan("Gate 45 is closed.").save(
        tmp_path / "a.pdf", save_all=True, append_images=[made.scan("Use 46.")]
    )
    document = read_document(tmp_path / "a.pdf")
    texts = [(block.place.page, block.text.split("\n")[1]) for block in document.blocks]
    assert texts == [(1, "Gate 45 is closed."), (2, "Use 46.")]


def test_the_last_page_is_not_named_while_the_first_one_of_a_scan_is_read(tmp_path):
    first, pages = made.scan("Gate 45 is closed."), list[int]()
    first.save(tmp_path / "a.pdf", save_all=True, append_images=[made.scan("Use 46.")])
    read_document(tmp_path / "a.pdf", on_page=pages.append)
    assert pages[pages.index(0) :] in ([0, 1, 2], [0, 2])


def test_pages_of_a_pdf_with_text_keep_it_and_pictures_among_them_are_read(tmp_path):
    buffer = io.BytesIO()
    made.scan("Gate 45 is closed.").save(buffer, "PDF")
    both = pypdfium2.PdfDocument(made.pdf([made.pdf_lines("Typed text.")]))
    both.import_pages(pypdfium2.PdfDocument(buffer.getvalue()))
    both.save(tmp_path / "a.pdf")
    first, second = recognised(tmp_path / "a.pdf").split("[Read from a picture")
    assert "Typed text." in first
    assert "Gate 45 is closed." in second


def test_a_picture_without_text_says_so(tmp_path):
    path = saved(tmp_path, "png", Image.new("RGB", (300, 200), "green"))
    with pytest.raises(R1Error, match=r"No text was found in scan\.png"):
        read_document(path)


def test_without_the_extra_a_picture_names_what_is_to_be_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(reader_worker, "models_folder", lambda: None)
    path = saved(tmp_path, "png", made.scan(*LINES))
    with pytest.raises(DocumentIsPicture, match=r"r1desk\[ocr\]"):
        write_document(path, BlockWriter("scan.png", list))


PICTURE = made.png(made.scan("Gate 45 is closed."))
READ = "Gate 45 is closed."


AROUND = [made.word_paragraph(text) for text in ("Before it.", "After it.")]


def word_file(folder: Path, body: str, picture: bytes = PICTURE) -> Path:
    parts: dict[str, str | bytes] = dict(made.docx_parts(body))
    parts["word/_rels/document.xml.rels"] = made.relations(("p", "image", "media/a.png"))
    return made.zipped(folder / "a.docx", parts | {"word/media/a.png": picture})


def test_a_picture_in_a_word_file_is_read_where_it_stands_and_once(tmp_path):
    around = [made.word_paragraph(text) for text in ("Before it.", "Between.", "After it.")]
    path = word_file(tmp_path, made.word_picture("p").join(around))
    first, mark, read, *rest = recognised(path).split("\n")
    assert (first, read, rest) == ("Before it.", READ, ["Between.", "After it."])
    assert mark.startswith("[Read from a picture, ")


def test_a_text_from_a_picture_in_a_word_file_is_marked_as_such_and_no_other(tmp_path):
    path = word_file(tmp_path, made.word_paragraph("Before it. " * 20) + made.word_picture("p"))
    typed, read = read_document(path).blocks
    assert typed.place.sure is None
    assert read.place.sure > 0.9
    assert "read from a picture, " in read.place.label()


def test_a_picture_in_a_cell_is_a_part_of_the_row(tmp_path):
    cells = (made.word_paragraph("Left."), made.word_picture("p"))
    row = "".join(f"<w:tc>{each}</w:tc>" for each in cells)
    (text,) = recognised(word_file(tmp_path, f"<w:tbl><w:tr>{row}</w:tr></w:tbl>")).split("\n")
    assert text.startswith("Left. | [Read from a picture, ")
    assert text.endswith(READ)


def test_a_picture_on_a_slide_is_read_on_it(tmp_path):
    parts: dict[str, str | bytes] = dict(made.pptx_parts(["One", "Two"]))
    slide = "ppt/slides/slide1.xml"  # the second
    shown = '<p:pic xmlns:r="r"><a:blip r:embed="p"/></p:pic></p:sld>'
    parts[slide] = str(parts[slide]).replace("</p:sld>", shown)
    parts["ppt/slides/_rels/slide1.xml.rels"] = made.relations(("p", "image", "../media/a.png"))
    made.zipped(tmp_path / "a.pptx", parts | {"ppt/media/a.png": PICTURE})
    blocks = list(read_document(tmp_path / "a.pptx").blocks)
    (place,) = [each.place for each in blocks if READ in each.text]
    assert (place.page, place.heading) == (2, "Two")


def test_pictures_of_open_document_and_of_books_are_read(tmp_path):
    image = '<text:p><draw:frame><draw:image xmlns:x="x" x:href="Pictures/a.png"/></draw:frame>'
    odt = made.odf_parts("text", f"{image}</text:p>")
    made.zipped(tmp_path / "a.odt", odt | {"Pictures/a.png": PICTURE})
    book = made.epub_parts(["<html><body><p>One.</p><img src='../media/a.png'/></body></html>"])
    made.zipped(tmp_path / "a.epub", book | {"OPS/media/a.png": PICTURE})
    for name in ("a.odt", "a.epub"):
        assert recognised(tmp_path / name).endswith(READ)


@pytest.mark.parametrize(
    ("picture", "note"),
    [
        (made.png(made.scan(READ).resize((180, 70))), ""),  # a logo
        (made.png(Image.new("RGB", (300, 200), "green")), ""),
        (b"\x01\x00\x00\x00" + bytes(99), ""),  # a metafile
        (PICTURE[:900], "[A picture that was not read.]"),
        (b"RIFF\x00\x00\x00\x00WEBP" + bytes(100), "[A picture that was not read.]"),
    ],
)
def test_a_picture_without_text_changes_nothing_and_one_that_is_damaged_is_noted(
    tmp_path, picture, note
):
    path = word_file(tmp_path, made.word_picture("p").join(AROUND), picture)
    assert recognised(path).split("\n") == ["Before it.", *[note] * bool(note), "After it."]


def test_a_picture_for_which_the_budget_has_no_room_is_noted_in_the_text_around_it(tmp_path):
    memory, own_mib = ReadingMemory(lambda: own_mib + 150), round(tree_mib())
    path = word_file(tmp_path, made.word_picture("p").join(AROUND))
    text = "\n\n".join(block.text for block in read_document(path, memory=memory).blocks)
    assert text == "Before it.\n\n[A picture that was not read.]\n\nAfter it."
    with pytest.raises(DocumentNeedsMemory, match=r"Raise the budget to [\d,]+ MiB"):
        read_document(word_file(tmp_path, made.word_picture("p")), memory=memory)


def huge_png() -> bytes:
    """Says that it has 30,000 x 30,000 pixels."""
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def endless_tiff() -> bytes:
    """A page that is followed by itself."""
    buffer = io.BytesIO()
    Image.new("L", (16, 16)).save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    start = int.from_bytes(data[4:8], "little")
    at = start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")
    data[at : at + 4] = data[4:8]
    return bytes(data)


def test_a_file_of_too_many_pages_is_refused_before_one_is_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_text, "_MOST_PAGES", 2)
    monkeypatch.setattr(picture_text, "page_text", lambda *_page: pytest.fail("it was read"))
    pages = [Image.new("L", (300, 200))] * 3
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(R1Error, match="It has more than 2 pages"):
        recognised(tmp_path / "a.tiff")


def test_a_page_without_text_among_others_is_noted(tmp_path):
    pages = [made.scan(*LINES), Image.new("RGB", (300, 200), "green")]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    assert recognised(tmp_path / "a.tiff").endswith("\n[Page 2 is a picture without text.]")


def test_a_large_page_is_read_in_the_memory_that_the_bill_has_for_one(tmp_path):
    page = Image.new("RGB", (2_480, 3_508), "white")  # A4 at 300 dots an inch
    page.paste(made.scan(*LINES).resize((1_280, 688)), (100, 100))
    document = read_document(saved(tmp_path, "png", page), most_mib=0)
    assert document.text().endswith(LINES[1])


def test_what_unpacks_for_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_SILENT_S", 0.0)
    with pytest.raises(R1Error, match="Reading it takes too long"):
        read_document(saved(tmp_path, "png", made.scan(*LINES)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (huge_png(), "more than 50 million pixels"),
        (b"\x89PNG\r\n\x1a\n", "is damaged"),
        (b"\xff\xd8\xff" + bytes(500), "is damaged"),
        (b"RIFF\x00\x00\x00\x00WEBP" + bytes(100), "is damaged"),
        (b"II*\0\x08\0\0\0" + bytes(100), "is damaged"),
        (b"BM" + bytes(60), "is damaged"),
        (endless_tiff(), "is damaged|more than 500 pages|No text was found"),
    ],
)
def test_a_hostile_picture_is_refused_in_a_sentence(tmp_path, data, reason):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(R1Error, match=reason):
        recognised(tmp_path / "a")


def line(text: str, x: float, y: float) -> RecognisedLine:
    """A line of letters 10 pixels wide and 20 high that begins at a place."""
    width = 10.0 * len(text)
    return RecognisedLine(text, 1.0, TextBox(x + width / 2, y, width, 20.0, 0.0))


def test_columns_are_read_one_after_the_other_below_what_stands_over_both():
    left = [line(f"left column, line {n} of it", 0, 40 + 25 * n) for n in range(6)]
    right = [line(f"right column, line {n} of it", 320, 40 + 25 * n) for n in range(6)]
    title = line("A title that stands over both of the columns", 60, 10)
    texts = ordered_text([*right, *left, title])[0].split("\n")
    assert texts == [each.text for each in (title, *left, *right)]


@pytest.mark.parametrize(
    ("texts", "apart", "degrees"), [(("a", "12", "x"), 150, 0), (("name", "7"), 400, 4)]
)
def test_rows_of_a_table_stay_together_where_the_page_is_skewed_too(texts, apart, degrees):
    angle = math.radians(degrees)

    def turned(each: RecognisedLine) -> RecognisedLine:
        x, y = each.box.x, each.box.y
        place = {
            "x": x * math.cos(angle) - y * math.sin(angle),
            "y": x * math.sin(angle) + y * math.cos(angle),
        }
        return replace(each, box=replace(each.box, angle=angle, **place))

    cells = [line(text, apart * x, 30 * y) for y in range(6) for x, text in enumerate(texts)]
    assert ordered_text(map(turned, cells))[0].split("\n") == [" | ".join(texts)] * 6


def test_what_the_model_marks_becomes_boxes_that_are_turned_as_it_is():
    probability = np.zeros((200, 400), dtype=np.float32)
    for x in range(300):
        top = 40 + x // 10
        probability[top : top + 12, 50 + x] = 0.9
    probability[150:162, 60:200] = 0.9
    probability[100:140, 350:390] = 0.31  # too unsure for a line
    straight, turned = sorted(text_boxes(probability), key=lambda box: -box.y)
    assert straight.angle == pytest.approx(0, abs=0.02)
    assert turned.angle == pytest.approx(0.1, abs=0.02)
    assert (straight.x, straight.y) == pytest.approx((130, 156), abs=1)
    assert straight.width > 140
    assert straight.height > 12
