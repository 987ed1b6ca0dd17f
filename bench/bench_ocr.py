"""Recognised pages beside the text that they were drawn from, ours and Tesseract's.

    bench_ocr.py --pdf FILE… [--pages N] [--layouts N] [--tesseract eng+chi_sim]

Each page of prose is drawn in one of five ways in turns: at 100, 150 and 200 dots an inch,
turned by two degrees, and at 150 with noise as a JPEG of quality 40. A character is right where it
stands in the longest run of equal ones, in order; blanks and cells' bars are left out. Seconds are
the processor's, MiB the whole process's. `--tesseract` needs Debian's package; it gets one thread,
since those of OpenMP use the processor while they wait.

`--layouts`: so many pages with a table of 25 rows and as many in two columns are made of a file's
words and drawn at 150 dots an inch. Of a table counts the share of rows that stand on one line, all
their cells in order, with at least 95 % of their characters.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

import numpy as np
import pypdfium2
from PIL import Image, ImageDraw, ImageFont

from bench.runner import Report, argument_parser
from deepseek_r1.ocr.picture_text import page_text

ENOUGH = 600  # characters of a page
LAYOUTS = ("table", "two columns")
FONT = ROOT / "resources/fonts/r1desk-sc.ttf"
A4, MARGIN, LETTER, LINE = (1_240, 1_754), 90, 24, 34  # pixels, at 150 dots an inch
ROWS, CELLS, KEPT = 25, 4, 0.95
WAYS = {"100 dpi": 100, "150 dpi": 150, "200 dpi": 200, "turned by 2°": 150, "noise, JPEG 40": 150}


def drawn(page: pypdfium2.PdfPage, way: str) -> Image.Image:
    """The page as a scanner would give it."""
    picture = page.render(scale=WAYS[way] / 72).to_pil().convert("RGB")
    if "turned" in way:
        return picture.rotate(2, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    if "noise" in way:
        values = np.asarray(picture.convert("L"), dtype=np.float32)
        values += np.random.default_rng(1).normal(0, 25, values.shape)
        packed = io.BytesIO()
        grey = Image.fromarray(values.clip(0, 255).astype(np.uint8))
        grey.save(packed, "JPEG", quality=40)
        return Image.open(packed).convert("RGB")
    return picture


def laid_out(words: list[str], layout: str) -> tuple[Image.Image, str]:
    """A page of these words, of which it takes what it has space for, and its lines in order."""
    page, left = Image.new("RGB", A4, "white"), iter(words)
    font, draw = ImageFont.truetype(FONT, LETTER), ImageDraw.Draw(page)
    width = (A4[0] - 2 * MARGIN) // (CELLS if layout == "table" else 2)

    def line(most: float, least: int = 99) -> str:
        """As many words as are wanted and fit; a word that does not is left out."""
        text = ""
        for word in (next(left) for _ in range(least)):
            joined = f"{text} {word}" if text and (text[-1] + word[0]).isascii() else text + word
            if font.getlength(joined) > most:
                break
            text = joined
        return text

    lines = []
    if layout == "table":
        for row in range(ROWS):
            cells = [line(width - 2 * LETTER, 2) for _ in range(CELLS)]
            for at, cell in enumerate(cells):
                draw.text((MARGIN + at * width, MARGIN + 1.5 * LINE * row), cell, "black", font)
            lines.append(" ".join(cells))
        return page, "\n".join(lines)
    for column in range(2):
        for top in range(MARGIN, A4[1] - MARGIN, LINE):
            lines.append(line(width - LETTER))
            draw.text((MARGIN + column * (width + LETTER), top), lines[-1], "black", font)
    return page, "\n".join(lines)


def share_of_rows(text: str, truth: str) -> float:
    """The share of a table's rows that stand on one line of `text`."""
    rows, lines = truth.split("\n"), text.split("\n")
    return sum(max(share_right(line, row) for line in lines) >= KEPT for row in rows) / len(rows)


def by_tesseract(picture: Image.Image, languages: str) -> str:
    """The text by Debian's package, which reads a picture from standard input."""
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    command = ["tesseract", "-", "-", "-l", languages]
    done = subprocess.run(command, input=packed.getvalue(), capture_output=True, check=True)
    return done.stdout.decode()


def letters(text: str) -> str:
    """What is compared."""
    return re.sub(r"\[Read from a picture.*\]|[\s|]", "", text)


def is_prose(text: str) -> bool:
    """Whether there is enough of it, and no table of contents with rows of dots."""
    compared = letters(text)
    return len(compared) > ENOUGH and sum(map(str.isalnum, compared)) > 0.8 * len(compared)


def share_right(text: str, truth: str) -> float:
    """The share of the characters of `truth` that `text` has in their order."""
    found = difflib.SequenceMatcher(None, letters(truth), letters(text), autojunk=False)
    return sum(each.size for each in found.get_matching_blocks()) / len(letters(truth))


def processor_s() -> float:
    """The processor's seconds of this process and of those that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def pages(pdf: Path, prose: int, layouts: int) -> Iterator[tuple[str, Image.Image, str]]:
    """How each page is drawn or laid out, the picture, and its text."""
    document, tried, words = pypdfium2.PdfDocument(pdf), 0, list[str]()
    for number in range(len(document)):
        truth = document[number].get_textpage().get_text_bounded()
        if not is_prose(truth):
            continue
        words += re.findall(r"[!-~]{1,20}|[^\s!-~\x00-\x20]", truth)
        if tried < prose:
            way = list(WAYS)[tried % len(WAYS)]
            tried += 1
            yield way, drawn(document[number], way), truth
    for at, layout in ((at, layout) for at in range(layouts) for layout in LAYOUTS):
        start = at * 1_500 % max(1, len(words) - 3_000)
        yield layout, *laid_out(words[start:] + words, layout)


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argument_parser(__doc__)
    parser.add_argument("--pdf", nargs="+", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=10, help="of each file")
    parser.add_argument("--layouts", type=int, default=0, help="pages of each, of each file")
    parser.add_argument("--tesseract", default="", metavar="LANGUAGES")
    given = parser.parse_args()
    report = Report(given)
    os.environ["OMP_THREAD_LIMIT"] = "1"  # Tesseract's
    page_text(Image.new("RGB", (64, 64), "white"), lambda: None)  # loads the models
    for pdf in given.pdf:
        shares, seconds = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
        for way, picture, truth in pages(pdf, given.pages, given.layouts):
            arms = {"ours": lambda picture=picture: page_text(picture, lambda: None).text}
            if given.tesseract:
                arms["Tesseract"] = lambda picture=picture: by_tesseract(picture, given.tesseract)
            share = share_of_rows if way == "table" else share_right
            for arm, read in arms.items():
                began = processor_s()
                shares[f"{arm}, {way}"].append(share(read(), truth))
                seconds[f"{arm}, {way}"].append(processor_s() - began)
        for name in sorted(shares):
            facts = {
                "share": round(sum(shares[name]) / len(shares[name]), 4),
                "worst": round(min(shares[name]), 4),
                "processor_s": round(sum(seconds[name]) / len(seconds[name]), 2),
                "pages": len(shares[name]),
            }
            text = "  ".join(f"{key} {value}" for key, value in facts.items())
            report.row(f"{pdf.name}  {name}: {text}", file=pdf.name, arm=name, **facts)
    most_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.row(f"the process had {most_mib:.0f} MiB", process_mib=round(most_mib))
    report.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
