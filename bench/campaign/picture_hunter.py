"""Hunter of hostile pictures: alone, in PDFs and in office files each gets text or a sentence."""

# ruff: noqa: E501 - a hostile picture is a line

from __future__ import annotations

import random
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import psutil
from PIL import Image

from bench.campaign.campaign import Case
from bench.campaign.document_hunter import damaged, packed
from deepseek_r1.core.errors import R1Error
from deepseek_r1.documents.errors import ReadingStopped
from deepseek_r1.documents.reader_protocol import OCR_MIB, READER_MIB
from deepseek_r1.documents.reading import read_document
from deepseek_r1.memory.meter import unshared_mib
from support import document_files as made

LONGEST_S = 10.0  # of the clock or of the processor, whichever is less: it is a busy machine
LATE_S = 5.0  # to start a process twice and to end it
SAMPLE_S = 0.02
SLACK_MIB = 24.0  # that is taken between two looks of the owner
Make = Callable[[random.Random], bytes]
LINES = ("The code of the safe is 4711.", "Platform nine has a red roof.")


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture's file."""
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def sound(kind: str) -> bytes:
    """A picture with text."""
    return saved(made.scan(*LINES), kind)


# ---- pictures


def png(
    width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 1, colour: int = 0
) -> bytes:
    """A PNG of zeros, as large as its head says, with more chunks before its data."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row, packing, body = bytes(1 + (width * depth * channels + 7) // 8), zlib.compressobj(9), b""
    for _ in range(height):
        body += packing.compress(row)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", body + packing.flush()), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def lying_png(width: int, height: int) -> bytes:
    """A small PNG whose head has another size, and the check sum for it."""
    data = bytearray(sound("PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def tiff(pages: int, side: int = 16) -> bytes:
    """A TIFF of white pages."""
    page = Image.new("L", (side, side), 255)
    return saved(page, "TIFF", save_all=True, append_images=[page] * (pages - 1))


def many_tiff(pages: int, *, loop: bool = False) -> bytes:
    """A TIFF of pages with the same pixels, which takes no time to make."""
    tags = [
        (256, 16),
        (257, 16),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 16),
        (279, 256),
    ]
    out, size = bytearray(b"II*\0" + struct.pack("<I", 264) + bytes(256)), 6 + 12 * len(tags)
    for page in range(pages):
        following = 264 + size * (page + 1) if page < pages - 1 else 264 * loop
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        out += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return bytes(out)


def many_scans(times: int, side: int) -> bytes:
    """A progressive JPEG whose last scan, of nothing, comes again and again."""
    data = saved(Image.new("L", (side, side), 200), "JPEG", progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def jpeg_with(marker: int, content: bytes, times: int) -> bytes:
    """A JPEG with so many segments of a kind."""
    data = sound("JPEG")
    segment = bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content
    return data[:2] + segment * times + data[2:]


def lying_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose frame has another size."""
    data = bytearray(sound("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def frames(kind: str, count: int, side: int) -> bytes:
    """A picture that moves."""
    pages = [Image.new("RGB", (side, side), (n * 50 % 256, n // 5 % 256, 9)) for n in range(count)]
    return saved(pages[0], kind, save_all=True, append_images=pages[1:], duration=20)


def lying_gif(width: int, height: int) -> bytes:
    """A GIF whose screen has another size."""
    data = bytearray(sound("GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def lying_webp(width: int, height: int) -> bytes:
    """An animated WebP whose canvas has another size."""
    data = bytearray(frames("WEBP", 3, 64))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def bitmap(
    width: int, height: int, bits: int = 24, packing: int = 0, content: bytes = b""
) -> bytes:
    """A BMP that is as long as its content."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(content), 0, 0, 54) + head + content


def dense(side: int, size: int) -> Image.Image:
    """A page that is full of small letters."""
    line = "".join(chr(97 + n * 7 % 26) + " " * (n % 5 == 4) for n in range(side // size * 2))
    rows = [f"({line}) Tj 0 -{size} Td" for _ in range(side // size)]
    content = f"BT /F {size} Tf 0 {side} Td {' '.join(rows)} ET"
    page = made.pypdfium2.PdfDocument(
        made.pdf([content]).replace(b"[0 0 600 800]", b"[0 0 %d %d]" % (side, side))
    )[0]
    return page.render(scale=1).to_pil().convert("L")


PICTURES: dict[str, Make] = {
    "30,000 x 30,000.png": lambda _c: png(30_000, 30_000),
    "says 30,000 x 30,000.png": lambda _c: lying_png(30_000, 30_000),
    "says 0 x 9.png": lambda _c: lying_png(0, 9),
    "says 2 billion.png": lambda _c: lying_png(2**31 - 1, 2**31 - 1),
    "7,000 x 7,000 of 64 bits.png": lambda _c: png(7_000, 7_000, depth=16, colour=6),
    "7,000 x 7,000 of colours.png": lambda _c: png(7_000, 7_000, depth=8, colour=2),
    "49 million wide.png": lambda _c: png(49_000_000, 1),
    "49 million high.png": lambda _c: lying_png(1, 49_000_000),
    "60,000 x 800.png": lambda _c: png(60_000, 800, depth=8),
    "6,000 x 8,000 of 16 bits.png": lambda _c: png(6_000, 8_000, depth=16),
    "texts that unpack.png": lambda _c: png(
        90, 90, *[(b"zTXt", b"a\0\0" + packed(bytes(2**20 - 9)))] * 200
    ),
    "a text of 60 MB.png": lambda _c: png(90, 90, (b"tEXt", b"a\0" + b"b" * 60_000_000)),
    "a profile that unpacks.png": lambda _c: png(90, 90, (b"iCCP", b"a\0\0" + packed(bytes(2**28)))),
    "100,000 chunks.png": lambda _c: png(90, 90, *[(b"tEXt", b"a\0b")] * 100_000),
    "transparency.png": lambda _c: png(90, 90, (b"tRNS", bytes(2**16))),
    "an orientation.png": lambda c: saved(made.scan(*LINES), "PNG", exif=damaged(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", c)),
    "moves.png": lambda _c: frames("PNG", 200, 100),
    "says that it moves.png": lambda _c: png(
        90, 90, (b"acTL", struct.pack(">II", 2**31 - 1, 0)), (b"fcTL", bytes(26))
    ),
    "10,000 pages.tiff": lambda _c: many_tiff(10_000),
    "400 pages.tiff": lambda _c: many_tiff(400),
    "a page that follows itself.tiff": lambda _c: many_tiff(3, loop=True),
    "says 65,535 x 700.tiff": lambda _c: many_tiff(1).replace(
        struct.pack("<HHII", 256, 4, 1, 16), struct.pack("<HHII", 256, 4, 1, 65_535)
    ),
    "packed.tiff": lambda _c: saved(Image.new("RGB", (7_000, 7_000)), "TIFF", compression="tiff_adobe_deflate"),
    "fax.tiff": lambda c: damaged(saved(Image.new("1", (7_000, 7_000), 1), "TIFF", compression="group4"), c),
    "1,000 scans.jpg": lambda _c: many_scans(1_000, 2_000),
    "CMYK.jpg": lambda _c: saved(made.scan(*LINES).convert("CMYK"), "JPEG"),
    "a profile of 16 MB.jpg": lambda _c: jpeg_with(0xE2, b"ICC_PROFILE\0\x01\xff" + bytes(65_000), 255),
    "60 MB of comments.jpg": lambda _c: jpeg_with(0xFE, b"a" * 65_000, 920),
    "an EXIF in a loop.jpg": lambda _c: jpeg_with(
        0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0", 1
    ),
    "says 65,000 x 65,000.jpg": lambda _c: lying_jpeg(65_000, 65_000),
    "says 8,000 x 6,000.jpg": lambda _c: lying_jpeg(8_000, 6_000),
    "7,000 x 7,000.jpg": lambda _c: saved(Image.effect_noise((7_000, 7_000), 90), "JPEG"),
    "3,000 frames.gif": lambda _c: frames("GIF", 3_000, 20),
    "says 65,535 x 65,535.gif": lambda _c: lying_gif(65_535, 65_535),
    "says 9,000 x 5,000.gif": lambda _c: lying_gif(9_000, 5_000),
    "300 frames.webp": lambda _c: frames("WEBP", 300, 200),
    "says 16,000 x 16,000.webp": lambda _c: lying_webp(16_000, 16_000),
    "says 7,000 x 7,000.webp": lambda _c: lying_webp(7_000, 7_000),
    "7,000 x 7,000.webp": lambda _c: saved(Image.new("RGB", (7_000, 7_000)), "WEBP"),
    "says 30,000 x 30,000.bmp": lambda _c: bitmap(30_000, 30_000),
    "says 7,000 x 7,000.bmp": lambda _c: bitmap(7_000, 7_000),
    "upside down.bmp": lambda _c: bitmap(90, -(2**31)),
    "runs.bmp": lambda _c: bitmap(7_000, 7_000, 8, 1, bytes(1_024) + b"\xff\x01" * 200_000),
    "small letters.png": lambda _c: saved(dense(1_400, 9), "PNG"),
    "smaller letters.png": lambda _c: saved(dense(3_000, 12), "PNG"),
    "noise.png": lambda _c: saved(Image.effect_noise((1_280, 1_280), 200), "PNG"),
    "dots.png": lambda _c: saved(Image.effect_noise((2_000, 2_000), 99).point(lambda v: 255 * (v > 140)).resize((2_900, 2_900)), "PNG"),
    "one line.png": lambda _c: saved(dense(1_200, 12).crop((0, 0, 1_200, 14)).resize((30_000, 40)), "PNG"),
}  # fmt: skip


# ---- PDFs of pictures

TALL = b"q %d 0 0 %d 0 0 cm /X Do Q "


def page_of(
    picture: bytes, content: bytes = TALL % (600, 800), box: bytes = b"0 0 600 800"
) -> bytes:
    """A PDF of one page that draws a picture."""
    return made.pdf_file([
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Resources<</XObject<</X 5 0 R>>"
        b"/Pattern<</P 6 0 R>>>>/Contents 4 0 R>>" % box,
        b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream"
        % (len(packed(content)), packed(content)),
        picture,
        b"<</Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 9 9]/XStep 0.01"
        b"/YStep 0.01/Resources<</XObject<</X 5 0 R>>>>/Length 20>>stream\n9 0 0 9 0 0 cm /X Do\n"
        b"endstream",
    ])  # fmt: skip


def image(
    width: int, height: int, data: bytes, filters: str = "/FlateDecode", more: str = ""
) -> bytes:
    """A picture of a PDF."""
    colours = "" if "ColorSpace" in more else "/ColorSpace/DeviceGray"
    depth = "" if "BitsPer" in more else "/BitsPerComponent 8"
    head = f"<</Type/XObject/Subtype/Image/Width {width}/Height {height}{colours}{depth}"
    return f"{head}/Filter[{filters}]{more}/Length {len(data)}>>".encode() + (
        b"stream\n" + data + b"\nendstream"
    )


def zeros(width: int, height: int, **options: str) -> bytes:
    """A picture of a PDF that is as large as it says."""
    return image(width, height, packed(bytes(width * height)), **options)


SMALL = zeros(20, 20)
INLINE = b"q 9 0 0 9 %d %d cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x00 EI Q "
PDFS: dict[str, Make] = {
    "40,000 x 40,000": lambda _c: page_of(image(40_000, 40_000, packed(bytes(2 * 10**8)), more="/BitsPerComponent 1")),
    "8,000 x 8,000": lambda _c: page_of(zeros(8_000, 8_000)),
    "8,000 x 8,000 of colours": lambda _c: page_of(image(8_000, 8_000, packed(bytes(192 * 10**6)), more="/ColorSpace/DeviceRGB")),
    "says 2 billion": lambda _c: page_of(image(2**31 - 1, 2**31 - 1, packed(b"a"))),
    "says 60,000": lambda _c: page_of(image(60_000, 60_000, packed(b"a"))),
    "200 inches": lambda _c: page_of(SMALL, TALL % (14_400, 14_400), b"0 0 14400 14400"),
    "200 inches and thin": lambda _c: page_of(SMALL, TALL % (14_400, 1), b"0 0 14400 0.1"),
    "a page without a size": lambda _c: page_of(SMALL, box=b"0 0 0.00001 0.00001"),
    "an endless page": lambda _c: page_of(SMALL, box=b"-1e30 -1e30 1e30 1e30"),
    "50,000 tiny ones": lambda _c: page_of(SMALL, b"".join(INLINE % (n % 600, n // 600) for n in range(50_000))),
    "100,000 times": lambda _c: page_of(SMALL, TALL % (9, 9) * 100_000),
    "a large one 2,000 times": lambda _c: page_of(zeros(3_000, 3_000), TALL % (600, 800) * 2_000),
    "turned 500 times": lambda _c: page_of(zeros(2_000, 2_000), b"q 600 99 -99 800 0 0 cm /X Do Q " * 500),
    "a pattern": lambda _c: page_of(SMALL, b"/Pattern cs /P scn 0 0 600 800 re f " + TALL % (9, 9)),
    "no such filter": lambda _c: page_of(image(90, 90, b"a" * 900, "/Nope")),
    "a thousand filters": lambda _c: page_of(image(90, 90, packed(b"a" * 8_100), "/FlateDecode" * 1_000)),
    "a bomb in layers": lambda _c: page_of(image(9_000, 9_000, packed(bytes(81 * 10**6), 4), "/FlateDecode" * 4)),
    "JPEG that is none": lambda c: page_of(image(900, 900, c.randbytes(9_000), "/DCTDecode")),
    "JPEG of another size": lambda _c: page_of(image(9_000, 9_000, sound("JPEG"), "/DCTDecode", "/ColorSpace/DeviceRGB")),
    "JPEG of 1,000 scans": lambda _c: page_of(image(1_500, 1_500, many_scans(1_000, 1_500), "/DCTDecode")),
    "JPEG that says 65,000": lambda _c: page_of(image(65_000, 65_000, lying_jpeg(65_000, 65_000), "/DCTDecode", "/ColorSpace/DeviceRGB")),
    "JPEG 2000 that is none": lambda c: page_of(image(900, 900, b"\0\0\0\x0cjP  \r\n\x87\n" + c.randbytes(9_000), "/JPXDecode")),
    "JPEG 2000 of 30,000": lambda _c: page_of(image(30_000, 30_000, b"\xff\x4f\xff\x51\x00\x2f\0\0" + struct.pack(">IIIIIIII", 30_000, 30_000, 0, 0, 30_000, 30_000, 0, 0) + b"\0\x03" + b"\x07\1\1" * 3 + b"\xff\x52\0\x0c\0\0\0\1\0\5\4\4\0\0\xff\x5c\0\x13\x40" + bytes(16) + b"\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93\xff\xd9", "/JPXDecode")),
    "fax of a billion": lambda c: page_of(image(60_000, 60_000, c.randbytes(9_000), "/CCITTFaxDecode", "/BitsPerComponent 1/DecodeParms[<</K -1/Columns 60000/Rows 60000>>]")),
    "JBIG2 that is none": lambda c: page_of(image(9_000, 9_000, c.randbytes(900), "/JBIG2Decode", "/BitsPerComponent 1")),
    "JBIG2 of 60,000": lambda _c: page_of(image(60_000, 60_000, bytes((0, 0, 0, 0, 48, 0, 1, 0, 0, 0, 19)) + struct.pack(">IIII", 60_000, 60_000, 0, 0) + b"\0\0\0" + bytes((0, 0, 0, 1, 38, 0, 1, 0, 0, 0, 26)) + struct.pack(">IIIIB", 60_000, 60_000, 0, 0, 0) + b"\0\3\xff\xfd\xff\2\xfe\xfe\xfe", "/JBIG2Decode", "/BitsPerComponent 1")),
    "LZW": lambda c: page_of(image(9_000, 9_000, c.randbytes(90_000), "/LZWDecode")),
    "runs": lambda _c: page_of(image(9_000, 9_000, b"\x81\0" * 640_000, "/RunLengthDecode")),
    "a mask of itself": lambda _c: page_of(zeros(90, 90, more="/SMask 5 0 R")),
    "a mask of 8,000": lambda _c: page_of(zeros(8_000, 8_000, more="/SMask 5 0 R/Matte[0]")),
    "32 bits": lambda _c: page_of(zeros(900, 900, more="/BitsPerComponent 32")),
    "colours that are none": lambda _c: page_of(zeros(900, 900, more="/ColorSpace[/Indexed/DeviceRGB 2147483647 5 0 R]")),
    "colours of themselves": lambda _c: page_of(zeros(900, 900, more="/ColorSpace[/ICCBased 5 0 R]")),
    "32 colours": lambda _c: page_of(zeros(900, 900, more="/ColorSpace[/DeviceN[" + "/A" * 32 + "]/DeviceRGB<</FunctionType 2/N 1/Domain[0 1]>>]")),
    "a negative length": lambda _c: page_of(SMALL.replace(b"/Length ", b"/Length -")),
    "400 pages": lambda _c: saved(Image.new("L", (60, 80), 255), "PDF", save_all=True, append_images=[Image.new("L", (60, 80), 255)] * 399),
}  # fmt: skip


# ---- pictures in office files


def word(picture: bytes, count: int = 1) -> bytes:
    """A DOCX with text and this picture, under so many names."""
    parts: dict[str, str | bytes] = dict(
        made.docx_parts(
            made.word_paragraph("Text.") + "".join(map(made.word_picture, _names(count)))
        )
    )
    found = (("image", f"media/{each}") for each in _names(count))
    parts["word/_rels/document.xml.rels"] = made.relations(
        *((place.rpartition("/")[2], kind, place) for kind, place in found)
    )
    out = BytesIO()
    with made.zipfile.ZipFile(out, "w", made.zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            parts | {f"word/media/{each}": picture for each in _names(count)}
        ).items():
            archive.writestr(name, text)
    return out.getvalue()


def _names(count: int) -> list[str]:
    return [f"p{n}" for n in range(count)]


OFFICE: dict[str, Make] = {
    "5,000 small ones": lambda _c: word(saved(Image.new("L", (20, 20)), "PNG"), 5_000),
    "5,000 heads": lambda _c: word(lying_png(3_000, 3_000), 5_000),
    "30,000 x 30,000": lambda _c: word(png(30_000, 30_000)),
    "a WebP of 16,000": lambda _c: word(lying_webp(16_000, 16_000)),
    "a TIFF of 10,000 pages": lambda _c: word(many_tiff(10_000)),
    "a bitmap of 120 MB": lambda _c: word(bitmap(7_000, 5_700, 24, 0, bytes(7_000 * 5_700 * 3))),
    "a text of 60 MB": lambda _c: word(png(300, 300, (b"tEXt", b"a\0" + b"b" * 60_000_000))),
    "nothing": lambda _c: word(b""),
}
KINDS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")


def every(seed: int) -> Iterator[tuple[str, bytes]]:
    """All that is above in some order, then sound ones of which bytes were changed or cut off."""
    chosen = random.Random(seed)
    attacks = list(PICTURES.items())
    attacks += [(f"{name}.pdf", make) for name, make in PDFS.items()]
    attacks += [(f"{name}.docx", make) for name, make in OFFICE.items()]
    chosen.shuffle(attacks)
    for name, make in attacks:
        yield name, make(chosen)
    pictures = {kind.lower(): sound(kind) for kind in KINDS}
    inside = {"pdf": saved(made.scan(*LINES), "PDF"), "docx": word(pictures["png"])}
    while True:
        kind, data = chosen.choice([*pictures.items(), *inside.items()])
        way = chosen.choice(("changed", "changed", "cut", "head", "inside"))
        if way == "cut":
            data = data[: chosen.randrange(len(data))]
        elif way == "head":
            data = data[:4] + damaged(data[4:60], chosen) + data[60:]
        elif way == "inside" and kind in {"png", "jpeg", "tiff", "webp"}:
            way, kind, data = f"{kind} inside", "docx", word(damaged(data, chosen))
        else:
            data = damaged(data, chosen)
        yield f"{way}.{kind}", data


class _Watch:
    """Follows a reader: its peak, and a stop after `LONGEST_S`."""

    def __init__(self) -> None:
        self.stop, self._ended = threading.Event(), threading.Event()
        self.peak_mib = self.used_s = 0.0
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    @property
    def took_s(self) -> float:
        return min(time.monotonic() - self.began, self.used_s)

    def _follow(self) -> None:
        used = dict[int, float]()
        while not self._ended.wait(SAMPLE_S):
            for each in readers():
                try:
                    self.peak_mib = max(self.peak_mib, unshared_mib(each.pid))
                    used[each.pid] = sum(each.cpu_times()[:2])
                except (psutil.Error, OSError):
                    continue
            self.used_s = sum(used.values())
            if self.took_s > LONGEST_S + LATE_S:
                self.stop.set()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def readers() -> list[psutil.Process]:
    """The processes that read documents."""
    found = []
    for each in psutil.Process().children():
        try:
            if "reader_worker" in " ".join(each.cmdline()):
                found.append(each)
        except psutil.Error:
            continue
    return found


def tried(name: str, path: Path) -> Case:
    """Read one document in the memory that its line of the bill has, and see what became of it."""
    watch, pages, bad = _Watch(), list[int](), ""
    line_mib = READER_MIB + 24 + OCR_MIB + 6 * path.stat().st_size / 2**20
    try:
        document = read_document(path, stop=watch.stop, most_mib=0, on_page=pages.append)
        verdict = f"read as {document.kind}"
    except ReadingStopped:  # a page that unpacks for eight seconds is refused before
        goes_on = len(set(pages) - {0}) > 1 or "letters" in name
        verdict = "read on, page by page" if goes_on else "stopped"
        bad = "" if goes_on else f"nothing after {watch.took_s:.1f} s"
    except R1Error as error:
        verdict, text = type(error).__name__, str(error)
        bad = "" if text.count(".") >= 2 and "?" not in text else f"it says: {text}"
    except Exception as error:  # noqa: BLE001 - exactly what this looks for
        verdict, bad = "failed", f"{type(error).__name__}: {error}"
    watch.end()
    if watch.took_s > LONGEST_S and "page by page" not in verdict:
        bad = bad or f"{verdict} after {watch.took_s:.1f} s"
    if watch.peak_mib > line_mib + SLACK_MIB:
        bad = f"{verdict} with {watch.peak_mib:.0f} of {line_mib:.0f} MiB"
    if left := readers():
        bad = f"{len(left)} processes are left"
    raw = path.read_bytes()[: 2**20] if bad else b""
    return Case(verdict, f"{name}: {bad}" if bad else "", raw, path.suffix[:9])


def pictures(seed: int, folder: Path) -> Iterator[Case]:
    """Hostile pictures, PDFs of pictures and office files with them."""
    place = folder / "pictures"
    place.mkdir()
    for name, raw in every(seed):
        path = place / name
        path.write_bytes(raw)
        yield tried(name, path)
        path.unlink()
