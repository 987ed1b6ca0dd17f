"""Hunter of hostile documents: each is read or refused with a sentence, and leaves no trace."""

# ruff: noqa: E501 - a hostile document is a line

from __future__ import annotations

import os
import random
import socket
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import psutil

from bench.campaign.campaign import Case, processor_s
from deepseek_r1.core.errors import R1Error
from deepseek_r1.documents.reading import LONGEST_S, STALLED_S, read_document
from support import document_files as made

LATE_S = 10.0  # for a process to start and to end
MOST_MIB = 1_100.0  # of the process: 1 GiB, and its own
Maker = Callable[[Path, str], object]  # of a file at the path; the address is a server's

_DTD = "<!DOCTYPE d [{}]>"
_LAUGHS = _DTD.format(
    '<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
)


def docx(body: str, **parts: str) -> Maker:
    return lambda path, _url: made.zipped(path, made.docx_parts(body, **parts))


def with_head(head: str) -> Maker:
    def make(path: Path, url: str) -> None:
        parts = made.docx_parts(made.word_paragraph("&j;"))
        parts["word/document.xml"] = head.replace("URL", url) + parts["word/document.xml"]
        made.zipped(path, parts)

    return make


def part(maker: Callable[[], dict[str, str]], name: str, text: str | bytes) -> Maker:
    """A sound file in which one part is another one."""
    return lambda path, url: made.zipped(
        path, maker() | {name: text.replace("URL", url) if isinstance(text, str) else text}
    )


def data(content: bytes | str) -> Maker:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path, url: path.write_bytes(raw.replace(b"URL", url.encode()))


def sparse(size: int, head: bytes = b"") -> Maker:
    def make(path: Path, _url: str) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)

    return make


def big_zip(name: str, pieces: int, piece: bytes, method: int = zipfile.ZIP_DEFLATED) -> Maker:
    def make(path: Path, _url: str) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for other, text in made.docx_parts("").items():
                if other != name:
                    archive.writestr(other, text)
            with archive.open(name, "w", force_zip64=True) as file:
                for _ in range(pieces):
                    file.write(piece)

    return make


def many_members(count: int, name: str) -> Maker:
    def make(path: Path, _url: str) -> None:
        made.zipped(path, made.docx_parts("") | {name.format(n): "x" for n in range(count)})

    return make


def stream(
    content: bytes,
    filters: str = "/FlateDecode",
    outline: str = "",
    action: str = "",
    form: str = "",
) -> bytes:
    """A PDF of one page whose content is packed."""
    return made.pdf_file([
        b"<</Type/Catalog/Pages 2 0 R/Outlines 6 0 R/OpenAction 7 0 R>>",
        b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>"
        b"/XObject<</X 8 0 R>>>>/Contents 5 0 R>>",
        b"<</Filter[%s]/Length %d>>stream\n%s\nendstream"
        % (filters.encode(), len(content), content),
        b"<</First 9 0 R/Last 9 0 R/Count 1>>" if outline else b"null",
        action.encode() or b"null", form.encode() or b"null", outline.encode() or b"null",
    ])  # fmt: skip


def packed(content: bytes, times: int = 1) -> bytes:
    for _ in range(times):
        content = zlib.compress(content, 9)
    return content


TEXT = packed(made.pdf_lines("text").encode())
PAGES = made.pdf([made.pdf_lines(f"page {n}") for n in range(5)])
SHEET = '<row r="1"><c r="A1"><v>1</v></c></row>'
BOOK = ["<html><body><h1>One</h1><p>text</p></body></html>"] * 3
SLIDES = ["One", "Two"]
WORDS = made.word_paragraph("Head", "berschrift1") + made.word_paragraph("some text") * 9


def sheet(rows: str) -> Maker:
    return lambda path, _url: made.zipped(path, made.xlsx_parts(rows))


def odf(kind: str, body: str) -> Maker:
    return lambda path, _url: made.zipped(path, made.odf_parts(kind, body))


def book(chapter: str) -> Maker:
    return lambda path, url: made.zipped(path, made.epub_parts([chapter.replace("URL", url)] * 3))


FORM = "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 8 0 R>>>>/Length 5>>stream\n/X Do\nendstream"


def overlapping(path: Path, _url: str) -> None:
    """Thousands of entries for the same bytes."""
    made.zipped(path, made.docx_parts("x" * 10**6))
    raw = path.read_bytes()
    at = raw.index(b"PK\x01\x02")
    end = raw.rindex(b"PK\x05\x06")
    path.write_bytes(raw[:at] + raw[at:end] * 5000 + raw[end:])


def lying(path: Path, _url: str) -> None:
    """Sizes in the directory that are not the parts'."""
    big_zip("word/document.xml", 64, b" " * 2**20)(path, "")
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(raw)


def member_names(path: Path, _url: str) -> None:
    names = (
        "../../../evil",
        "/tmp/evil-document",
        "C:\\evil",
        "..\\evil",
        "word/../../evil",
        "a\nb",
    )
    made.zipped(path, made.docx_parts(WORDS) | dict.fromkeys(names, "evil"))


def link_member(path: Path, _url: str) -> None:
    made.zipped(path, {k: v for k, v in made.docx_parts(WORDS).items() if k != "word/document.xml"})
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("word/document.xml")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")


ATTACKS: dict[str, Callable[[], Maker]] = {
    # ---- zip
    "1 GB of zeros in a zip.docx": lambda: big_zip("word/document.xml", 1024, bytes(2**20)),
    "spaces.docx": lambda: big_zip("word/document.xml", 250, b" " * 2**20),
    "lzma.docx": lambda: big_zip("word/document.xml", 100, bytes(2**20), zipfile.ZIP_LZMA),
    "bzip2.docx": lambda: big_zip("word/document.xml", 100, bytes(2**20), zipfile.ZIP_BZIP2),
    "lying sizes.docx": lambda: lying,
    "overlapping.docx": lambda: overlapping,
    "30000 members.docx": lambda: many_members(30_000, "m{}"),
    "120000 members.docx": lambda: many_members(120_000, "m{}"),
    "names of members.docx": lambda: member_names,
    "a link as a member.docx": lambda: link_member,
    "zip in zip.zip": lambda: lambda path, _url: made.zipped(path, {"a.zip": b"PK\x03\x04" * 9}),
    "cut.docx": lambda: lambda path, url: (docx(WORDS)(path, url), os.truncate(path, 700)),
    "a mimetype bomb.odt": lambda: lambda path, _url: made.zipped(path, {"mimetype": "a" * 2**27}),
    # ---- XML
    "laughs.docx": lambda: with_head(_LAUGHS),
    "an entity of the disk.docx": lambda: with_head(_DTD.format('<!ENTITY j SYSTEM "file:///etc/passwd">')),
    "an entity of the net.docx": lambda: with_head(_DTD.format('<!ENTITY j SYSTEM "URL/entity">')),
    "a parameter entity.docx": lambda: with_head(_DTD.format('<!ENTITY % j SYSTEM "URL/p">%j;')),
    "a DTD of the net.docx": lambda: with_head('<!DOCTYPE d SYSTEM "URL/dtd">'),
    "entities of ODT.odt": lambda: part(lambda: made.odf_parts("text", ""), "content.xml", _LAUGHS + "<a>&j;</a>"),
    "entities of a workbook.xlsx": lambda: part(lambda: made.xlsx_parts(SHEET), "xl/workbook.xml", _LAUGHS + "<a>&j;</a>"),
    "entities of a book.epub": lambda: part(lambda: made.epub_parts(BOOK), "OPS/book.opf", _LAUGHS + "<a>&j;</a>"),
    "a million levels.docx": lambda: docx("<w:p>" * 10**6),
    "a million levels closed.docx": lambda: docx("<w:p>" * 10**6 + "</w:p>" * 10**6),
    "a million empty paragraphs.docx": lambda: docx("<w:p></w:p>" * 10**6),
    "a million texts.docx": lambda: docx("<w:p>" + "<w:t>a</w:t>" * 10**6 + "</w:p>"),
    "a million cells.docx": lambda: docx("<w:tr>" + "<w:tc></w:tc>" * 10**6 + "</w:tr>"),
    "rows in rows.docx": lambda: docx("<w:tbl><w:tr><w:tc>" * 10**5),
    "a long attribute.docx": lambda: docx(f'<w:p a="{"x" * 10**7}"/>'),
    "a million attributes.docx": lambda: docx("<w:p " + " ".join(f'a{n}=""' for n in range(10**5)) + "/>"),
    "a long name.docx": lambda: docx(f"<{'x' * 10**7}/>"),
    "an unknown encoding.docx": lambda: with_head('<?xml version="1.0" encoding="utf-7"?>'),
    "a comment without an end.docx": lambda: docx("<!--" + "-" * 10**6),
    "20 million characters.docx": lambda: docx(made.word_paragraph("text " * 4 * 10**6)),
    # ---- relations
    "relations in a loop.docx": lambda: part(lambda: made.docx_parts(WORDS), "word/_rels/document.xml.rels",
        made.relations(("a", "styles", "document.xml"), ("b", "footnotes", "document.xml"))),
    "a relation to the disk.docx": lambda: part(lambda: made.docx_parts(WORDS), "word/_rels/document.xml.rels",
        made.relations(("a", "styles", "../../../../etc/passwd"))),
    "a template of the net.docx": lambda: part(lambda: made.docx_parts(WORDS), "word/_rels/document.xml.rels",
        '<Relationships><Relationship Id="a" Type="x/styles" TargetMode="External" Target="URL/t"/></Relationships>'),
    "relations that lack all.docx": lambda: part(lambda: made.docx_parts(WORDS), "_rels/.rels", "<Relationships><Relationship/></Relationships>"),
    "macros.docm": lambda: part(lambda: made.docx_parts(WORDS), "word/vbaProject.bin", b"\xd0\xcf\x11\xe0" * 999),
    # ---- slides, books
    "slides without files.pptx": lambda: part(lambda: made.pptx_parts(SLIDES), "ppt/presentation.xml", '<p:p xmlns:p="p" xmlns:r="r"><p:sldId r:id="x"/></p:p>'),
    "a slide 50000 times.pptx": lambda: part(lambda: made.pptx_parts(SLIDES), "ppt/presentation.xml", '<p:p xmlns:p="p" xmlns:r="r">' + '<p:sldId r:id="rId0"/>' * 50_000 + "</p:p>"),
    "a slide that is the presentation.pptx": lambda: part(lambda: made.pptx_parts(SLIDES), "ppt/_rels/presentation.xml.rels", made.relations(("rId0", "slide", "presentation.xml"), ("rId1", "slide", "presentation.xml"))),
    "a chapter 100000 times.epub": lambda: part(lambda: made.epub_parts(BOOK), "OPS/book.opf", '<package><item id="a" href="my text/0.xhtml"/>' + '<itemref idref="a"/>' * 10**5 + "</package>"),
    "a chapter of the disk.epub": lambda: part(lambda: made.epub_parts(BOOK), "OPS/book.opf", '<package><item id="a" href="../../../etc/passwd"/><itemref idref="a"/></package>'),
    "a book in itself.epub": lambda: part(lambda: made.epub_parts(BOOK), "META-INF/container.xml", '<c><rootfile full-path="META-INF/container.xml"/></c>'),
    "a chapter with a script.epub": lambda: book("<script src='URL/s'></script><img src='URL/i'><iframe src='URL/f'></iframe>text"),
    "angles.html": lambda: data("<html>" + "<" * 10**6),
    "tags without an end.html": lambda: data("<html>" + "<a " * 10**6),
    "quotes.html": lambda: data("<html><a b='" * 10**5),
    "comments.html": lambda: data("<html>" + "<!-- " * 10**6),
    "declarations.html": lambda: data("<html>" + "<![if " * 10**5),
    "CDATA.html": lambda: data("<html>" + "<![CDATA[" * 10**5),
    "levels.html": lambda: data("<html>" + "<div><table><tr><td>" * 2 * 10**5 + "text"),
    "references.html": lambda: data("<html>" + "&#x110000;&#0;&nope;&#xD800;" * 10**5),
    "an encoding that is none.html": lambda: data("<html><meta charset=zlib_codec>text"),
    "another encoding that is none.html": lambda: data("<html><meta charset=idna>text äöü".encode("latin-1")),
    "pictures of the net.html": lambda: data("<html><img src='URL/i'><link href='URL/l'><script src='URL/s'></script>text"),
    # ---- sheets
    "the last cell.xlsx": lambda: sheet(SHEET + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
    "a row too far.xlsx": lambda: sheet('<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>'),
    "a column too far.xlsx": lambda: sheet('<row r="1"><c r="ZZZZZZZ1"><v>1</v></c></row>'),
    "a string that is not there.xlsx": lambda: sheet('<row r="1"><c r="A1" t="s"><v>99999</v></c></row>'),
    "odd numbers.xlsx": lambda: sheet('<row r="1"><c r="A1" s="1"><v>1e308</v></c><c r="B1" s="1"><v>-1e9</v></c><c r="C1"><v>nan</v></c></row>'),
    "300000 rows.xlsx": lambda: sheet("".join(f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>' for n in range(1, 300_001))),
    "a cell a billion times.ods": lambda: odf("spreadsheet", "<office:body><office:spreadsheet><table:table table:name='T'><table:table-row table:number-rows-repeated='1048576'><table:table-cell office:value-type='string' table:number-columns-repeated='16384'><text:p>a</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet></office:body>"),
    "an old file of garbage.xls": lambda: data(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + random.Random(5).randbytes(9999)),
    "an old file of zeros.xls": lambda: data(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9999)),
    # ---- OpenDocument
    "spaces.odt": lambda: odf("text", "<text:p>" + '<text:s text:c="99999999999"/>' * 10**5 + "</text:p>"),
    "notes in notes.odt": lambda: odf("text", "<text:p><text:note-body>" * 10**5),
    "50000 pages.odp": lambda: odf("presentation", "<draw:page><text:p>x</text:p></draw:page>" * 50_000),
    # ---- PDF
    "50000 pages.pdf": lambda: lambda path, _url: path.write_bytes(made.pdf([made.pdf_lines("x")] * 50_000)),
    "9000 pages.pdf": lambda: lambda path, _url: path.write_bytes(made.pdf([made.pdf_lines("x")] * 9_000)),
    "a tree in a loop.pdf": lambda: data(PAGES.replace(b"/Kids[4 0 R 6", b"/Kids[2 0 R 6")),
    "two billion pages.pdf": lambda: data(PAGES.replace(b"/Count 5", b"/Count 2147483647")),
    "no pages.pdf": lambda: data(PAGES.replace(b"/Type/Pages", b"/Type/Pagez")),
    "references that lead nowhere.pdf": lambda: data(PAGES.replace(b"00000 n", b"99999 n")),
    "a table that is its own forerunner.pdf": lambda: data(PAGES.replace(b"/Root", b"/Prev %d/Root" % PAGES.rindex(b"xref\n0"))),
    "a table at a wrong place.pdf": lambda: data(PAGES.replace(b"startxref\n", b"startxref\n9")),
    "no table.pdf": lambda: data(PAGES[: PAGES.rindex(b"xref\n0")]),
    "half.pdf": lambda: data(PAGES[: len(PAGES) // 2]),
    "forms in a loop.pdf": lambda: data(stream(packed(b"/X Do"), form=FORM)),
    "a bomb.pdf": lambda: data(stream(packed(b" " * 2**28))),
    "a bomb in five layers.pdf": lambda: data(stream(packed(bytes(2**26), 5), "/FlateDecode" * 5)),
    "a thousand layers.pdf": lambda: data(stream(TEXT, "/FlateDecode" * 1000)),
    "20 million characters.pdf": lambda: data(stream(packed(b"BT /F 9 Tf " + b"(0123456789) Tj " * 2 * 10**6 + b"ET"))),
    "a million states.pdf": lambda: data(stream(packed(b"q " * 10**6))),
    "levels of arrays.pdf": lambda: data(stream(packed(b"[" * 10**6))),
    "levels of objects.pdf": lambda: data(b"%PDF-1.7\n1 0 obj" + b"[" * 10**6),
    "a negative length.pdf": lambda: data(PAGES.replace(b"/Length ", b"/Length -")),
    "a length in itself.pdf": lambda: data(PAGES.replace(b"<</Length 35>>", b"<</Length 5 0 R>>")),
    "a huge page.pdf": lambda: data(PAGES.replace(b"[0 0 600 800]", b"[-1e38 -1e38 1e38 1e38]")),
    "no page.pdf": lambda: data(PAGES.replace(b"[0 0 600 800]", b"[0 0 0 0]")),
    "bookmarks in a loop.pdf": lambda: data(stream(TEXT, outline="<</Title(a)/Next 9 0 R/First 9 0 R/Parent 6 0 R/Dest[4 0 R/Fit]>>")),
    "a script.pdf": lambda: data(stream(TEXT, action="<</S/JavaScript/JS(app.launchURL\\('URL'\\))>>")),
    "a program.pdf": lambda: data(stream(TEXT, action="<</S/Launch/F(/bin/sh)>>")),
    "an address.pdf": lambda: data(stream(TEXT, action="<</S/URI/URI(URL)>>")),
    "a font of garbage.pdf": lambda: data(stream(TEXT).replace(b"/BaseFont/Helvetica", b"/BaseFont/A/Widths 5 0 R/ToUnicode 5 0 R/FontDescriptor<</FontFile2 5 0 R>>")),
    # ---- text
    "1 GB of zeros.txt": lambda: sparse(2**30),
    "200 MB of zeros.txt": lambda: sparse(200 * 2**20),
    "200 MB after text.txt": lambda: sparse(200 * 2**20, b"text"),
    "200 MB.pdf": lambda: sparse(200 * 2**20, b"%PDF-1.7\n"),
    "200 MB.docx": lambda: sparse(200 * 2**20, b"PK\x03\x04"),
    "200 MB.xls": lambda: sparse(200 * 2**20, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    "one line.txt": lambda: data("x" * 6 * 10**6),
    "empty lines.txt": lambda: data("a\n\n" * 10**6),
    "newlines.txt": lambda: data("a" + "\n" * 10**7 + "b"),
    "commas.csv": lambda: data("," * 10**7),
    "a quote without an end.csv": lambda: data('a,"' + "b\n" * 10**6),
    "surrogates.txt": lambda: data(b"\xff\xfe" + b"\x00\xd8" * 999),
    "escapes.txt": lambda: data("\x1b]0;title\x07\x1b[2J text\n" * 999),
    "fences.md": lambda: data("```\n~~~\n# a\n" * 10**5),
    "a formula.csv": lambda: data("=cmd|' /C calc'!A0,@SUM(1)\n"),
}  # fmt: skip


def odd_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """What is no file, and names that are hard to show."""
    (folder / "to a device.txt").symlink_to("/dev/zero")
    (folder / "to itself.txt").symlink_to(folder / "to itself.txt")
    os.mkfifo(folder / "a pipe.txt")
    (folder / "a folder.pdf").mkdir()
    named = [
        os.fsdecode(name)
        for name in (b"\xff\xfe.txt", b"a\nb.txt", b"-rf.txt", b"\xe2\x80\xae.txt")
    ]
    for name in (*named, "n" * 250 + ".txt"):
        (folder / name).write_text("text")
    for path in sorted(folder.iterdir()):
        yield ascii(path.name), path
    yield "a name too long", folder / ("n" * 999)
    yield "a name with NUL", folder / "a\0b"


def mutants(seed: int) -> Iterator[tuple[str, bytes]]:
    """Sound documents of which bytes were changed; in a zip, those of a part."""
    chosen = random.Random(seed)
    zips = {
        "docx": made.docx_parts(WORDS), "pptx": made.pptx_parts(SLIDES),
        "xlsx": made.xlsx_parts(SHEET), "odt": made.odf_parts("text", "<text:p>text</text:p>"),
        "epub": made.epub_parts(BOOK),
    }  # fmt: skip
    plain = {"pdf": PAGES, "html": BOOK[0].encode(), "csv": b"a,b\n1,2\n" * 50}
    while True:
        kind = chosen.choice(sorted([*zips, "pdf", *plain]))
        if kind in plain:
            yield kind, damaged(plain[kind], chosen)
            continue
        parts: dict[str, str | bytes] = dict(zips[kind])
        if inside := chosen.random() < 0.6:
            name = chosen.choice(sorted(parts))
            parts[name] = damaged(str(parts[name]).encode(), chosen)
        raw = BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                archive.writestr(name, text)
        yield kind, raw.getvalue() if inside else damaged(raw.getvalue(), chosen)


def damaged(sound: bytes, chosen: random.Random) -> bytes:
    """Bits, numbers and pieces are changed, taken out or doubled."""
    raw = bytearray(sound)
    for _ in range(chosen.choice((1, 1, 2, 5, 20))):
        at = chosen.randrange(max(1, len(raw)))
        piece = raw[at : at + chosen.choice((1, 4, 40))]
        match chosen.randrange(5):
            case 0 if raw:
                raw[at] ^= 1 << chosen.randrange(8)
            case 1:
                raw[at : at + len(piece)] = chosen.randbytes(len(piece))
            case 2:
                del raw[at : at + len(piece)]
            case 3:
                raw[at:at] = piece * chosen.choice((1, 3, 99))
            case _:
                raw[at : at + 1] = chosen.choice((b"0", b"-1", b"4294967295", b"<", b">", b"\0"))
    return bytes(raw)


def documents(seed: int, folder: Path) -> Iterator[Case]:
    """Hostile documents, then broken ones without end."""
    chosen, place = random.Random(seed), folder / "documents"
    place.mkdir()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0)
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    names = sorted(ATTACKS)
    chosen.shuffle(names)
    with server:
        for name in names:
            path = place / name
            ATTACKS[name]()(path, url)
            yield tried(name, path, server)
            path.unlink()
        odd = folder / "odd"
        odd.mkdir()
        for name, path in odd_files(odd):
            yield tried(name, path, server)
        for kind, raw in mutants(seed):
            path = place / f"changed.{kind}"
            path.write_bytes(raw)
            yield tried(f"changed {kind}", path, server)


def tried(name: str, path: Path, server: socket.socket) -> Case:
    """Read one document and see what became of it."""
    around = sorted(path.parent.iterdir())
    began, verdict, bad = processor_s(), "", ""
    try:
        document = read_document(path)
        verdict = f"read as {document.kind}"
    except R1Error as error:
        verdict = type(error).__name__
        bad = "" if str(error).count(".") >= 2 and "?" not in str(error) else f"it says: {error}"
    except Exception as error:  # noqa: BLE001 - exactly what this looks for
        verdict, bad = "failed", f"{type(error).__name__}: {error}"
    if (took_s := processor_s() - began) > (
        LATE_S + STALLED_S if "Large" in verdict else LONGEST_S / 10
    ):
        bad = f"{verdict} after {took_s:.1f} s of a processor"
    if sorted(path.parent.iterdir()) != around or Path("/tmp/evil-document").exists():
        bad = "it has written a file"
    try:
        server.accept()[0].close()
        bad = "it has connected"
    except BlockingIOError:
        pass
    readers = [p for p in psutil.Process().children() if "reader_worker" in " ".join(p.cmdline())]
    if readers:
        bad = f"{len(readers)} processes are left"
    raw = b"" if not bad or not path.is_file() else path.read_bytes()[: 2**20]
    return Case(verdict, f"{name}: {bad}" if bad else "", raw, path.suffix[:9])
