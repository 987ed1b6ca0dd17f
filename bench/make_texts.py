"""Gets the texts of `questions.tsv` from Debian's archive, and writes the pages of the answers.

    python bench/make_texts.py FOLDER

needs `apt-get`, `dpkg-deb` and the network. The texts are free (GPL, CC BY-SA) and too large to be
kept here. The search was made with the first two, and is judged by the last two:

- `guide`: the New Maintainers' Guide, a PDF of 63 pages
- `handbook`: the Administrator's Handbook in 600 pages; a third of its paragraphs is in Chinese
- `faq`: Debian's questions and answers in 60 pages, the same in both languages
- `help`: the help of GNOME in 600 pages, the same in both languages

The folder gets `guide.en.pdf`, and for the others `handbook.en.json`: a list of pages, each a list
of blocks, each with the heading above it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

PACKAGES = (
    *("debian-handbook", "maint-guide", "maint-guide-zh-cn"),
    *("debian-faq", "debian-faq-zh-cn", "gnome-user-docs"),
)
HANDBOOK_PAGES, FAQ_PAGES = 600, 60
HELP_CHARACTERS = 830  # of a page at most: 600 pages
_BLOCKS = {"p", "pre", "li", "h1", "h2", "h3", "h4", "dt", "dd", "td", "th", "div"}
_HEADINGS = {"h1", "h2", "h3", "h4"}
_HELP_BLOCKS = {"p", "title", "screen", "code"}

Blocks = list[tuple[str, str]]  # a heading, and a text below it


class _Reader(HTMLParser):
    """The text of a page of HTML, block by block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Blocks = []
        self._text, self._heading, self._hidden, self._verbatim = "", "", 0, 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in {"script", "style", "head"}
        if tag in _BLOCKS:
            self.flush()
        self._verbatim += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style", "head"}
        if tag in _HEADINGS:
            self._heading = " ".join(self._text.split())
        if tag in _BLOCKS:
            self.flush()
        self._verbatim -= tag == "pre"

    def handle_data(self, data: str) -> None:
        self._text += "" if self._hidden else data

    def flush(self) -> None:
        text = self._text if self._verbatim else " ".join(self._text.split())
        self._text = ""
        if text.strip():
            self.found.append((self._heading, text.strip()))


def html_blocks(folder: Path, index: str) -> Blocks:
    """The blocks of all pages that the index names, in its order."""
    blocks: Blocks = []
    names = re.findall(r'href="([a-z0-9.-]*html)"', (folder / index).read_text(encoding="utf-8"))
    for name in dict.fromkeys(names):
        if name != index:
            reader = _Reader()
            reader.feed((folder / name).read_text(encoding="utf-8"))
            reader.flush()
            blocks += reader.found
    return blocks


def help_blocks(path: Path) -> Blocks:
    """The blocks of a topic of GNOME's help."""
    found: Blocks = []

    def walk(element: ElementTree.Element, heading: str) -> None:
        for each in element:
            name = str(each.tag).rpartition("}")[2]
            text = " ".join("".join(each.itertext()).split())
            heading = text if name == "title" else heading
            if name in _HELP_BLOCKS and text:
                found.append((heading, text))
            elif name != "info" and name not in _HELP_BLOCKS:
                walk(each, heading)

    walk(ElementTree.parse(path).getroot(), "")
    return found


def cut(blocks: Blocks, pages: int) -> list[int]:
    """The page of each block, so that all have about the same length."""
    length = sum(len(text) for _, text in blocks) / pages
    found, done = [], 0
    for _, text in blocks:
        found.append(int(done // length))
        done += len(text)
    return found


def cut_topics(topics: list[Blocks]) -> list[int]:
    """The page of each block: a topic begins one, and a page that is full."""
    found, page = [], -1
    for blocks in topics:
        size = HELP_CHARACTERS + 1
        for _, text in blocks:
            if size + len(text) > HELP_CHARACTERS:
                page, size = page + 1, 0
            found.append(page)
            size += len(text)
    return found


def write(path: Path, blocks: Blocks, numbers: list[int]) -> None:
    pages: list[Blocks] = [[] for _ in range(numbers[-1] + 1)]
    for block, number in zip(blocks, numbers, strict=True):
        pages[number].append(block)
    path.write_text(json.dumps(pages, ensure_ascii=False), encoding="utf-8")


def write_help(folder: Path, helps: Path) -> None:
    """All topics; a block of a translation stands on the page of the English one in its place."""
    names = [path.name for path in sorted((helps / "C/gnome-help").glob("*.page"))]
    topics = {
        language: [help_blocks(helps / language / "gnome-help" / name) for name in names]
        for language in ("C", "zh_CN")
    }
    english, translated, numbers, begins = topics["C"], topics["zh_CN"], list[int](), 0
    pages = cut_topics(english)
    write(folder / "help.en.json", [each for blocks in english for each in blocks], pages)
    for blocks, others in zip(english, translated, strict=True):
        at = [begins + number * len(blocks) // len(others) for number in range(len(others))]
        numbers += [pages[each] for each in at]
        begins += len(blocks)
    write(folder / "help.zh.json", [each for blocks in translated for each in blocks], numbers)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)
    share = folder / "unpacked/usr/share"
    faq = [html_blocks(share / "doc/debian/FAQ", "index.en.html"),
           html_blocks(share / "doc/debian/FAQ/zh-cn", "index.zh-cn.html")]  # fmt: skip
    for language, blocks in zip(("en", "zh"), faq, strict=True):
        write(folder / f"faq.{language}.json", blocks, cut(faq[0], FAQ_PAGES))
    write_help(folder, share / "help")
    for language, name in (("en", "en-US"), ("zh", "zh-CN")):
        blocks = html_blocks(share / "doc/debian-handbook/html" / name, "index.html")
        write(folder / f"handbook.{language}.json", blocks, cut(blocks, HANDBOOK_PAGES))
    for language, name in (("en", "maint-guide/maint-guide.en.pdf"),
                           ("zh", "maint-guide-zh-cn/maint-guide.zh-cn.pdf")):  # fmt: skip
        (folder / f"guide.{language}.pdf").write_bytes((share / "doc" / name).read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
