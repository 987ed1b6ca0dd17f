"""Small documents of every kind that is read, made here byte by byte."""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pypdfium2
from PIL import Image

W = 'xmlns:w="w" xmlns:mc="mc" xmlns:r="r"'
_RELATIONS = '<Relationships xmlns="r">{}</Relationships>'
_RELATION = '<Relationship Id="{}" Type="http://x/{}" Target="{}"/>'


def relations(*found: tuple[str, str, str]) -> str:
    """A part's relations: identifier, kind, target."""
    return _RELATIONS.format("".join(_RELATION.format(*each) for each in found))


def zipped(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    """A zip of these parts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def docx_parts(body: str, **more: str) -> dict[str, str]:
    """The parts of a DOCX whose heading's style has a translated identifier."""
    styles = '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    return {
        "_rels/.rels": relations(("rId1", "officeDocument", "word/document.xml")),
        "word/_rels/document.xml.rels": relations(
            ("rId1", "styles", "styles.xml"), ("rId2", "footnotes", "/word/footnotes.xml")
        ),
        "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
        "word/footnotes.xml": f"<w:footnotes {W}><w:p><w:t>The note.</w:t></w:p></w:footnotes>",
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
    } | more


def word_paragraph(text: str, style: str = "") -> str:
    """A paragraph of DOCX."""
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{styled}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx_parts(slides: Sequence[str]) -> dict[str, str]:
    """A presentation whose slides' files are numbered against their order."""
    files = [f"slides/slide{len(slides) - n}.xml" for n in range(len(slides))]
    order = "".join(f'<p:sldId id="25{n}" r:id="rId{n}"/>' for n in range(len(slides)))
    parts = {
        "_rels/.rels": relations(("rId1", "officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="p" xmlns:r="r">{order}</p:presentation>',
        "ppt/_rels/presentation.xml.rels": relations(
            *((f"rId{n}", "slide", file) for n, file in enumerate(files))
        ),
        "ppt/slides/_rels/slide1.xml.rels": relations(("rId1", "notesSlide", "../notes/n1.xml")),
        "ppt/notes/n1.xml": '<p:n xmlns:p="p" xmlns:a="a"><a:p><a:t>Say it</a:t></a:p></p:n>',
    }
    for file, title in zip(files, slides, strict=True):
        parts[f"ppt/{file}"] = (
            '<p:sld xmlns:p="p" xmlns:a="a"><p:sp><p:nvPr><p:ph type="title"/></p:nvPr>'
            f"<a:p><a:r><a:t>{title}</a:t></a:r></a:p></p:sp>"
            "<p:sp><a:p><a:t>body of it</a:t></a:p></p:sp></p:sld>"
        )
    return parts


def xlsx_parts(rows: str) -> dict[str, str]:
    """A workbook with one sheet; the second style is a date."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    sheets = '<sheets><sheet name="Prices" sheetId="1" r:id="rId1"/></sheets>'
    xfs = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    package = "http://schemas.openxmlformats.org/package/2006"
    relation = f'<Relationships xmlns="{package}/relationships">{{}}</Relationships>'
    return {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/></Types>',
        "_rels/.rels": relation.format(
            f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        ),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">{sheets}</workbook>',
        "xl/_rels/workbook.xml.rels": relation.format(
            f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
            f'<Relationship Id="rId2" Type="{office}/styles" Target="styles.xml"/>'
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{main}">{xfs}</styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
    }


def odf_parts(kind: str, body: str) -> dict[str, str]:
    """OpenDocument: "text", "presentation"."""
    names = " ".join(f'xmlns:{each}="{each}"' for each in ("office", "text", "table", "draw"))
    return {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "META-INF/manifest.xml": '<m:manifest xmlns:m="m"/>',
        "content.xml": f"<office:document-content {names}>{body}</office:document-content>",
    }


def epub_parts(chapters: Sequence[str]) -> dict[str, str]:
    """A book whose chapters stand in a folder with a space in its name."""
    items = "".join(f'<item id="c{n}" href="my%20text/{n}.xhtml"/>' for n in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    root = '<rootfile full-path="OPS/book.opf"/>'
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": f"<container><rootfiles>{root}</rootfiles></container>",
        "OPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
    } | {f"OPS/my text/{n}.xhtml": text for n, text in enumerate(chapters)}


LATIN = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
CHINESE = (
    "<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts["
    "<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light"
    "/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 0>>>>]>>"
)


def pdf(
    pages: Sequence[str], *, bookmarks: str = "", trailer: str = "", font: str = LATIN
) -> bytes:
    """A PDF with a content stream for each page, and a sound table of references."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    outlines = f"/Outlines {4 + 2 * len(pages)} 0 R" if bookmarks else ""
    objects = [
        f"<</Type/Catalog/Pages 2 0 R{outlines}>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        font,
    ]
    for n, content in enumerate(pages):
        resources = "/Resources<</Font<</F 3 0 R>>>>"
        box = "/MediaBox[0 0 600 800]"
        objects.append(f"<</Type/Page/Parent 2 0 R{box}{resources}/Contents {5 + 2 * n} 0 R>>")
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    if bookmarks:
        own = 4 + 2 * len(pages)
        objects.append(f"<</Type/Outlines/First {own + 1} 0 R/Last {own + 1} 0 R/Count 1>>")
        objects.append(f"<</Title({bookmarks})/Parent {own} 0 R/Dest[4 0 R/Fit]>>")
    return pdf_file([each.encode("latin-1") for each in objects], trailer)


def pdf_file(objects: Sequence[bytes], trailer: str = "") -> bytes:
    """A PDF of these objects, the first of which is the catalogue."""
    data, places = bytearray(b"%PDF-1.7\n"), []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj" % number + each + b"endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer<</Size {size}/Root 1 0 R{trailer}>>\nstartxref\n{len(data)}\n%%EOF"
    )
    return bytes(data) + end.encode("latin-1")


def pdf_lines(*lines: str) -> str:
    """The content of a page with these lines, of ASCII or of Chinese."""
    texts = [f"({x})" if x.isascii() else f"<{x.encode('utf-16-be').hex()}>" for x in lines]
    shown = " ".join(f"{text} Tj 0 -20 Td" for text in texts)
    return f"BT /F 12 Tf 50 700 Td {shown} ET"


def scan(*lines: str) -> Image.Image:
    """These lines of a page, drawn at 150 dots an inch."""
    drawn = pypdfium2.PdfDocument(pdf([pdf_lines(*lines)]))[0].render(scale=150 / 72)
    return drawn.to_pil().convert("RGB").crop((60, 160, 700, 260 + 42 * len(lines)))


def expanding_forms(depth: int = 12, times: int = 10) -> bytes:
    """A PDF of 3 KB with forms of which each draws the next one so many times."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</XObject<</F 6 0 R>>>>"
        b"/Contents 4 0 R>>",
        b"<</Length 5>>stream\n/F Do\nendstream",
        LATIN.encode(),
    ]
    for n in range(depth):
        drawn = b"/F Do " * times if n < depth - 1 else b"BT /A 9 Tf (x) Tj ET"
        used = b"<</XObject<</F %d 0 R>>/Font<</A 5 0 R>>>>" % (7 + n)
        head = b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources%s/Length %d>>"
        objects.append(head % (used, len(drawn)) + b"stream\n" + drawn + b"\nendstream")
    return pdf_file(objects)


IMAGE = "q 500 0 0 500 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x00 EI Q"  # a page that is a picture


def png(picture: Image.Image) -> bytes:
    """The bytes of a picture's file."""
    packed = BytesIO()
    picture.save(packed, "PNG")
    return packed.getvalue()


def word_picture(identifier: str) -> str:
    """A picture in a paragraph of DOCX."""
    return (
        f'<w:p><w:r><w:drawing><a:blip xmlns:a="a" r:embed="{identifier}"/></w:drawing></w:r></w:p>'
    )


_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def locked_pdf(password: str, *lines: str, owner: str = "owner") -> bytes:
    """A PDF of one page that a password opens, with the key of 40 bits of PDF 1.1; "" is none."""
    user_key, owner_key = ((each.encode("latin-1") + _PADDING)[:32] for each in (password, owner))
    of_owner = _rc4(hashlib.md5(owner_key).digest()[:5], user_key)
    head = user_key + of_owner + (-4).to_bytes(4, "little", signed=True) + b"identity"
    key = hashlib.md5(head).digest()[:5]
    content = pdf_lines(*lines).encode()
    packed = _rc4(hashlib.md5(key + bytes((4, 0, 0, 0, 0))).digest()[:10], content)
    security = (
        f"<</Filter/Standard/V 1/R 2/P -4/O<{of_owner.hex()}>/U<{_rc4(key, _PADDING).hex()}>>>"
    )
    return pdf_file(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 5 0 R>>>>"
            b"/Contents 4 0 R>>",
            b"<</Length %d>>stream\n%s\nendstream" % (len(packed), packed),
            LATIN.encode(),
        ],
        f"/Encrypt{security}/ID[<{b'identity'.hex()}><{b'identity'.hex()}>]",
    )


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
