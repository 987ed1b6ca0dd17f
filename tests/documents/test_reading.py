"""Documents of every kind give their text and its places, or a sentence."""

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import use_language
from deepseek_r1.documents import reading
from deepseek_r1.documents.block_writer import BlockWriter, write_text
from deepseek_r1.documents.document import Block, Document
from deepseek_r1.documents.errors import PasswordWrong, ReadingStopped
from deepseek_r1.documents.reader_worker import refused, write_document
from deepseek_r1.documents.reading import ReadDocument, document_files, read_document
from support import document_files as made
from support.patience import wait_until

CHINESE = "埃拉托斯特尼筛法\n是一种算法，其步骤如下。\n"


def read_here(path: Path, *, recognises: bool = False) -> tuple[str, list[tuple[str, str]]]:
    """The kind, and places with texts: what the process does, without one. Raises R1Error."""
    blocks: list[Block] = []
    writer = BlockWriter(path.name, blocks.extend)
    writer.recognises = recognises
    try:
        kind = write_document(path, writer)
    except R1Error:
        raise
    except Exception as error:
        raise refused(ReadDocument(path=str(path), name=path.name), error) from error
    writer.progress(now=True)
    return kind, [(block.place.label(), block.text) for block in blocks]


def saved(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# ---- the formats


def test_docx_has_headings_tables_and_notes(tmp_path: Path) -> None:
    cells = "".join(f"<w:tc>{made.word_paragraph(text)}</w:tc>" for text in ("a", "b"))
    body = (
        made.word_paragraph("Results", "berschrift1")
        + "<w:p><w:r><w:t>Two </w:t></w:r><w:r><w:t>runs</w:t><w:br/><w:t>line</w:t></w:r></w:p>"
        + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
        + "<w:p><mc:Fallback><w:t>twice</w:t></mc:Fallback><w:delText>gone</w:delText></w:p>"
    )
    path = made.zipped(tmp_path / "a.docx", made.docx_parts(body))
    assert read_here(path) == ("docx", [
        ("Results", "Results"), ("Results", "Two runs\nline"), ("Results", "a | b"),
        ("Results", "The note."),
    ])  # fmt: skip


def test_slides_come_in_their_order_with_what_the_speaker_noted(tmp_path: Path) -> None:
    path = made.zipped(tmp_path / "a.pptx", made.pptx_parts(["First", "Second"]))
    assert read_here(path) == ("pptx", [
        ("page 1", "First"), ("page 1", "body of it"),
        ("page 2", "Second"), ("page 2", "body of it"), ("page 2", "Say it"),
    ])  # fmt: skip


def test_a_sheet_has_its_rows_with_dates_and_short_numbers(tmp_path: Path) -> None:
    rows = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>Price</t></is></c>'
        '<c r="B1" s="1"><v>45678</v></c></row>'
        '<row r="4"><c r="A4"><v>0.30000000000000004</v></c><c r="C4" t="b"><v>1</v></c></row>'
    )
    path = made.zipped(tmp_path / "a.xlsx", made.xlsx_parts(rows))
    assert read_here(path) == ("xlsx", [
        ("Prices, row 1", "Price | 2025-01-21"), ("Prices, row 4", "0.3 |  | True"),
    ])  # fmt: skip


def test_odt_keeps_a_sentence_together_around_its_note(tmp_path: Path) -> None:
    note = "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>a note"
    body = (
        "<text:h>Kopf</text:h>"
        f'<text:p>one<text:s text:c="2"/>{note}</text:p></text:note-body></text:note> two</text:p>'
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
        "<table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table>"
    )
    path = made.zipped(tmp_path / "a.odt", made.odf_parts("text", body))
    assert read_here(path) == (
        "odt",
        [("Kopf", "Kopf"), ("Kopf", "one   a note  two"), ("Kopf", "a | b")],
    )


def test_an_e_book_has_its_chapters_in_order(tmp_path: Path) -> None:
    chapters = [f"<html><body><h1>Chapter {n}</h1><p>text</p></body></html>" for n in (1, 2)]
    path = made.zipped(tmp_path / "a.epub", made.epub_parts(chapters))
    assert read_here(path) == ("epub", [
        ("Chapter 1", "Chapter 1"), ("Chapter 1", "text"),
        ("Chapter 2", "Chapter 2"), ("Chapter 2", "text"),
    ])  # fmt: skip


def test_a_web_page_is_read_without_its_scripts(tmp_path: Path) -> None:
    page = (
        '<!doctype html><meta charset="big5"><title>T</title><body><h1>標題</h1><p>a<br>b  c'
        "<ul><li>one<li>two</ul><script>if (a<b) alert('<p>')</script><pre>x\n  y</pre>"
        "<table><tr><th>n<th>m<tr><td>1<td>2</table>end"
    )
    path = saved(tmp_path, "a.html", page.encode("big5"))
    kind, blocks = read_here(path)
    assert kind == "html"
    assert [text for _, text in blocks] == [
        "標題", "a\nb c", "• one", "• two", "x\n  y", "n | m", "1 | 2", "end",
    ]  # fmt: skip
    assert {place for place, _ in blocks} == {"標題"}


def test_pages_of_a_pdf_have_numbers_and_a_picture_says_that_it_is_one(tmp_path: Path) -> None:
    pages = [made.pdf_lines("hyphen-", "ation", "end"), made.IMAGE, made.pdf_lines("third"), ""]
    path = saved(tmp_path, "a.pdf", made.pdf(pages, bookmarks="Start"))
    assert read_here(path) == ("pdf", [
        ("page 1", "hyphenation\nend"), ("page 2", "[Page 2 is a picture without text.]"),
        ("page 3", "third"),
    ])  # fmt: skip


def test_the_text_of_a_document_is_the_same_whatever_language_the_window_speaks(tmp_path: Path):
    pages = [made.pdf_lines("first"), made.IMAGE]
    path = saved(tmp_path, "a.pdf", made.pdf(pages))
    use_language("zh_CN")
    try:
        assert read_here(path)[1][1][1] == "[Page 2 is a picture without text.]"
    finally:
        use_language("en")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("这 座 塔 在 九 点 开 门", "门 票 12 元"), "这座塔在九点开门\n门票 12 元"),
        (
            ("第二章", "埃拉托斯特尼筛法是一种古老的算法", "它的步骤如下。", "完成"),
            "第二章\n埃拉托斯特尼筛法是一种古老的算法它的步骤如下。\n完成",
        ),
        (("⼀⽚⾕⼦",), "一片谷子"),  # radicals
    ],
)
def test_chinese_of_a_pdf_has_no_spaces_goes_on_in_the_next_line_and_has_no_radicals(
    tmp_path, lines, text
):
    path = saved(tmp_path, "a.pdf", made.pdf([made.pdf_lines(*lines)], font=made.CHINESE))
    assert read_here(path) == ("pdf", [("page 1", text)])


def test_rows_of_csv_and_lines_of_text_are_counted(tmp_path: Path) -> None:
    table = saved(tmp_path, "a.csv", 'n;m\n"a; b";"1\n2"\na\u2028b;c\n')
    assert read_here(table) == (
        "csv",
        [("row 1", "n | m"), ("row 2", "a; b | 1 2"), ("row 3", "a b | c")],
    )
    notes = saved(tmp_path, "a.md", "# T\n\n```\n# no\n```\n\n\n## Two\nx\n")
    assert read_here(notes) == ("markdown", [
        ("T, line 1", "# T"), ("T, line 3", "```\n# no\n```\n"), ("Two, line 8", "## Two\nx\n"),
    ])  # fmt: skip
    log = saved(tmp_path, "a.log", "".join(f"entry {n}\n" for n in range(1, 2001)))
    _, blocks = read_here(log)
    assert len(blocks) > 5
    for place, text in blocks:
        assert place.removeprefix("line ") == text.split()[1]


@pytest.mark.parametrize(("data", "text"), [
    (CHINESE.encode(), CHINESE), (CHINESE.encode("utf-8-sig"), CHINESE),
    (CHINESE.encode("utf-16"), CHINESE), (b"\xfe\xff" + CHINESE.encode("utf-16-be"), CHINESE),
    (CHINESE.encode("utf-32"), CHINESE), (CHINESE.encode("gb18030"), CHINESE),
    ("Grüße aus Köln, für 3 €\n".encode("cp1252"), "Grüße aus Köln, für 3 €\n"),
    (b"a\r\nb\rc\n", "a\nb\nc\n"), (b"\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[0m\n"),
    (b"def a():\n    pass\n\n\n\nb = 1\n", "def a():\n    pass\n\n\n\nb = 1\n"),
])  # fmt: skip
def test_text_is_decoded_and_joined_as_it_was(tmp_path: Path, data: bytes, text: str) -> None:
    path, blocks = saved(tmp_path, "notes.txt", data), []
    writer = BlockWriter("notes.txt", blocks.extend)
    write_document(path, writer)
    writer.progress(now=True)
    assert Document("notes.txt", "", "text", None, tuple(blocks)).text() == text


# ---- what is refused


def _encrypted_odt(folder: Path) -> Path:
    parts = made.odf_parts("text", "garbage")
    parts["META-INF/manifest.xml"] = '<m:manifest xmlns:m="m"><m:encryption-data/></m:manifest>'
    return made.zipped(folder / "x", parts)


def _entities(folder: Path) -> Path:
    parts = made.docx_parts(made.word_paragraph("&passwords;"))
    declared = '<!DOCTYPE d [<!ENTITY passwords SYSTEM "file:///etc/passwd">]>'
    parts["word/document.xml"] = declared + parts["word/document.xml"]
    return made.zipped(folder / "x", parts)


def _bomb(folder: Path) -> Path:
    return made.zipped(folder / "x", made.docx_parts("<w:p>" + " " * 2**25 + "</w:p>"))


def _displaced(folder: Path) -> Path:
    """A zip whose directory says that it stands before the file's beginning."""
    path = made.zipped(folder / "x", made.docx_parts("text"))
    raw = bytearray(path.read_bytes())
    raw[-6:-2] = (2**31).to_bytes(4, "little")
    path.write_bytes(raw)
    return path


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)


@pytest.mark.parametrize(("data", "said"), [
    (b"\x7fELF\x02\x01\x01\x00", "kind of file is not supported"),
    (random.Random(1).randbytes(5_000), "kind of file is not supported"),
    (b"\xff\xfe\x00\xd8", "kind of file is not supported"),  # half a character of UTF-16
    (b"{\\rtf1\\ansi Hello}", "It is RTF."),
    (bytes(9999), "kind of file is not supported"),
    (b"PK\x03\x04" + bytes(64), "is damaged"),
    (lambda folder: made.zipped(folder / "x", {"a.txt": "a"}), "It is an archive"),
    (OLE + "EncryptedPackage".encode("utf-16-le"), "is password-protected"), (OLE, "old format"),
    (_encrypted_odt, "is password-protected"), (made.locked_pdf("a"), "is password-protected"),
    (_displaced, "is damaged"), (_entities, "declares entities"), (_bomb, "far too large"),
    (lambda folder: made.zipped(folder / "x", {
        "_rels/.rels": made.relations(("1", "officeDocument", "word/document.xml"))}),
     "incomplete, or not what its name says"),
    (lambda folder: made.zipped(folder / "x", made.docx_parts("<w:p>")), "incomplete, or"),
    (lambda folder: made.zipped(folder / "x", made.epub_parts(["a"]) | {"META-INF/rights.xml": ""}),
     "is password-protected"),
    (b"%PDF-1.7\nplain letters\n", "incomplete, or not what its name says"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused_with_a_sentence(tmp_path, data, said):
    path = saved(tmp_path, "x", data) if isinstance(data, bytes) else data(tmp_path)  # type: ignore[operator]
    with pytest.raises(R1Error) as error:
        read_here(path)
    assert said in str(error.value)


@pytest.mark.parametrize(("locked", "given"), [("Straße", "Straße"), ("Straße", "owner"), ("", "")])
def test_a_pdf_is_read_by_its_password_or_its_owners_and_without_where_only_that_one_has(
    tmp_path, locked, given
):
    path = saved(tmp_path, "a.pdf", made.locked_pdf(locked, "The code is 4711."))
    assert read_document(path, password=given).text() == "The code is 4711."


def test_a_wrong_password_is_called_wrong_and_none_is_shown_anywhere(tmp_path, caplog):
    path = saved(tmp_path, "a.pdf", made.locked_pdf("Straße", "The code is 4711."))
    wrong = "-".join(("Strasse", "7"))
    with pytest.raises(PasswordWrong, match="The password is wrong") as at:
        read_document(path, password=wrong)
    request = ReadDocument(path=str(path), name="a.pdf", password=wrong)
    assert wrong not in f"{at.value.report()!r}{request!r}{request}{caplog.text}{at.getrepr()}"


def test_a_document_of_more_pages_or_text_than_the_limits_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("deepseek_r1.documents.pdf_file.MAX_PAGES", 3)
    with pytest.raises(R1Error, match="It has 4 pages; at most 3 can be read"):
        read_here(saved(tmp_path, "a.pdf", made.pdf([made.pdf_lines("text")] * 4)))
    monkeypatch.setattr("deepseek_r1.documents.block_writer.MAX_CHARACTERS", 1_000)
    with pytest.raises(R1Error, match="Its text has more than"):
        read_here(saved(tmp_path, "a.txt", "a b " * 300))
    with pytest.raises(R1Error, match="Its text has more than"):  # each row takes memory
        read_here(saved(tmp_path, "a.csv", "a\n" * 100))


# ---- the process


def test_a_document_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.pdf", made.pdf([made.pdf_lines(f"page {n}") for n in range(1, 4)]))
    document = read_document(path, name="named.pdf")
    assert (document.name, document.kind, document.pages) == ("named.pdf", "pdf", 3)
    assert document.text() == "page 1\n\npage 2\n\npage 3"
    assert [block.place.page for block in document.blocks] == [1, 2, 3]
    assert len(document.sha256) == 64


def test_the_page_that_was_read_last_is_known_meanwhile(tmp_path: Path) -> None:
    content, pages = [made.pdf_lines(f"page {n}") for n in range(1, 9)], list[int]()
    read_document(saved(tmp_path, "a.pdf", made.pdf(content)), on_page=pages.append)
    assert pages[-1] == 8


def test_a_file_without_text_is_empty(tmp_path: Path) -> None:
    with pytest.raises(R1Error, match="is empty"):
        read_document(saved(tmp_path, "a.txt", " \n" * 9_999))


def test_reading_stops_when_it_is_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ReadingStopped):
        read_document(saved(tmp_path, "a.txt", "text"), stop=stop)


def test_reading_without_progress_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "STALLED_S", 0.0)
    with pytest.raises(R1Error, match="takes too long"):
        read_document(saved(tmp_path, "a.txt", "text"))


def test_folders_pipes_missing_and_huge_files_are_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.txt", tmp_path / ("a" * 999), tmp_path / "a\0b"):
        with pytest.raises(R1Error, match="could not be read"):
            read_document(path)
    with (tmp_path / "huge.txt").open("wb") as sparse:
        sparse.truncate(2**40 if os.name == "posix" else 2**29)  # elsewhere it is not sparse
    with pytest.raises(R1Error, match="at most 256 MiB can be read"):
        read_document(tmp_path / "huge.txt")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.txt")
        with pytest.raises(R1Error, match="it is not a file"):
            read_document(tmp_path / "pipe.txt")


def test_a_folder_gives_its_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.pdf", "sub/a.TXT", "sub/c.bin", ".git/config.txt", ".hidden.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    if os.name == "posix":
        (tmp_path / "link.txt").symlink_to("/etc/passwd")
        (tmp_path / "link").symlink_to("/etc")
    assert document_files(tmp_path) == [tmp_path / "b.pdf", tmp_path / "sub" / "a.TXT"]
    assert document_files(tmp_path / "b.pdf") == [tmp_path / "b.pdf"]
    monkeypatch.setattr(reading, "MAX_FOLDER_FILES", 1)
    with pytest.raises(R1Error, match="more than 1 files"):
        document_files(tmp_path)


def test_the_current_folder_is_named_where_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(R1Error, match=r"^\. is empty"):
        document_files(Path())


def test_a_process_that_was_started_before_reads_the_next_document(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.txt", "text")
    read_document(path, more_follow=True)
    assert reading.readers.has_spare
    assert read_document(path).text() == "text"
    assert not reading.readers.has_spare
    reading.readers.prepare(100)
    spare = reading.readers._spare
    assert spare is not None
    os.kill(spare.pid, signal.SIGKILL)
    wait_until(lambda: not spare.idle, "its end is not noticed")
    assert read_document(path).text() == "text"


# ---- pages that are none


@pytest.mark.parametrize(("page", "texts"), [
    ("<p>a<!-- x > y --><b>b<!-->c<!--->d<? e ><!f>g</", ["abcdg"]),
    ("<p>a<![CDATA[ x ]]>b &lt;i&gt; &#65; &#xZ; &nosuch; 1 < 2 &",
     ["ab <i> A &#xZ; &nosuch; 1 < 2 &"]),
    ("<p title='>' class=\"</p>\" x=y/>a<p>b</p >c", ["a", "b", "c"]),
    ("<script>if (a</b) '</scripty>'</SCRIPT>text<style/>more<title>gone", ["textmore"]),
    (f"<p>&#{'9' * 40};a", [f"&#{'9' * 40};a"]),
    ("<p>a<p never ends", ["a"]),
    # what it hides
    ("<p>a<div style='color:red; DISPLAY : none'>x<div>x</div>x</div>b", ["a", "b"]),
    (
        "<p>a<p hidden>x <b>x</b><p>b<ul><li>c<li hidden>x<ul><li>x</ul>x<li>d</ul>e",
        ["a", "b", "• c", "• d", "e"],
    ),
    ("<input hidden>a<br style='display:none'>", ["a"]),
    ("<div>a<span hidden>x</div>b", ["a", "b"]),
    ("<div hidden><p>x<div>x</div></p>x<script>x</script>x</div>a", ["a"]),
    ("<span style='visibility:hidden'>x</span><i aria-hidden=true>a</i>", ["a"]),
    ("<body style='display:none'><section hidden=until-found>a</section>", ["a"]),
    ("<table><tr><td hidden>x<td>a<tr hidden><td>x<tr><td>b</table>", ["a", "b"]),
])  # fmt: skip
def test_a_page_is_read_as_browsers_show_it(tmp_path: Path, page: str, texts: list[str]) -> None:
    kind, blocks = read_here(saved(tmp_path, "a.html", f"<!doctype html>{page}"))
    assert (kind, [text for _, text in blocks]) == ("html", texts)


def test_a_page_declares_no_encoding_that_is_not_of_the_web(tmp_path: Path) -> None:
    for name in ("undefined", "unicode_escape", "punycode", "zlib"):
        page = f'<html><meta charset="{name}"><p>Grüße \\x41'
        assert read_here(saved(tmp_path, "a.html", page))[1][0][1] == "Grüße \\x41"


def test_a_heading_may_have_blanks_and_signs(tmp_path: Path) -> None:
    lines = "# a  b ##\n\n#  c#\n\n####### no\n\n#no\n"
    places = [place for place, _ in read_here(saved(tmp_path, "a.md", lines))[1]]
    assert places == ["a b, line 1", "c, line 3", "c, line 5", "c, line 7"]
    writer = BlockWriter("a.md", lambda _blocks: None)
    for line, heading in (("# a  b ##", "a b"), ("#  c#", "c"), ("# a" + " " * 9 + "x", "a x")):
        write_text(line, writer, is_markdown=True)
        assert writer.heading == heading
