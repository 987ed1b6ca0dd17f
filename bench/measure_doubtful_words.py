"""Prints what a threshold for doubtful words costs and finds (docs/measurements/documents.md).

    python bench/measure_doubtful_words.py guide.en.pdf guide.zh.pdf [--pages N]

Pages are drawn as `bench_ocr.py` draws them, and smaller: at 75 dots an inch, and blurred. A word,
in Chinese a character, is right where it stands in a run of equal ones, in order.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

import pypdfium2
from PIL import Image, ImageFilter

from bench.bench_ocr import WAYS, drawn, is_prose
from deepseek_r1.ocr.picture_text import page_text
from deepseek_r1.ocr.text_boxes import word_spans


def drawn_badly(page: pypdfium2.PdfPage, way: str) -> Image.Image:
    if way == "75 dpi":
        return page.render(scale=75 / 72).to_pil().convert("RGB")
    if way == "blurred":
        return drawn(page, "150 dpi").filter(ImageFilter.GaussianBlur(2))
    return drawn(page, way)


def words_of(text: str) -> list[str]:
    same = [0.0] * len(text)
    return [word for word, *_ in word_spans(text, same, same)]


def judged(page: pypdfium2.PdfPage, way: str) -> list[tuple[float, bool]]:
    """How sure each word of a page is, and whether it is right."""
    boxes = page_text(drawn_badly(page, way), lambda: None).page.boxes
    truth = words_of(page.get_textpage().get_text_bounded())
    texts = [word.text for word in boxes]
    matcher = difflib.SequenceMatcher(None, truth, texts, autojunk=False)
    right = {at for a, b, n in matcher.get_matching_blocks() for at in range(b, b + n)}
    letters = [(at, word) for at, word in enumerate(boxes) if any(map(str.isalnum, word.text))]
    return [(word.sure, at in right) for at, word in letters]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pdf", nargs="+", type=Path)
    parser.add_argument("--pages", type=int, default=7, help="of each file")
    given, ways = parser.parse_args(), (*WAYS, "75 dpi", "blurred")
    for pdf in given.pdf:
        pages = [
            page
            for page in pypdfium2.PdfDocument(pdf)
            if is_prose(page.get_textpage().get_text_bounded())
        ]
        found: list[tuple[float, bool]] = []
        for number, page in enumerate(pages[: given.pages]):
            found += judged(page, ways[number % len(ways)])
        wrong = sum(not right for _, right in found)
        print(f"{pdf.name}: {len(found)} words, {wrong} wrong")
        for threshold in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
            dotted = [right for sure, right in found if sure < threshold]
            wrong_dotted = len(dotted) - sum(dotted)
            print(
                f"  below {threshold}: dotted {len(dotted) / len(found):.1%}; of the wrong ones "
                f"{wrong_dotted / wrong:.0%}; of the dotted {wrong_dotted / len(dotted):.0%} wrong"
            )


if __name__ == "__main__":
    main()
