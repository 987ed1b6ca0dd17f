"""Gets the texts of `questions.tsv` from Debian's archive, and writes the pages of the answers.

    python tests/documents/make_texts.py FOLDER

needs `apt-get`, `dpkg-deb` and the network. The texts are free (GPL) and too large to be kept here:
the New Maintainers' Guide is a PDF of 63 pages, the Administrator's Handbook HTML that is cut into
600 pages. Of the Chinese handbook about a third of the paragraphs are translated. The folder gets
`guide.en.pdf`, `guide.zh.pdf`, `handbook.en.json` and `handbook.zh.json` (a list of pages).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

PACKAGES = ("debian-handbook", "maint-guide", "maint-guide-zh-cn")
HANDBOOK_PAGES = 600
_BLOCKS = {"p", "pre", "li", "h1", "h2", "h3", "h4", "dt", "dd", "td", "th", "div"}


class _Blocks(HTMLParser):
    """The text of a page of HTML, block by block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._text, self._hidden, self._verbatim = "", 0, 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in {"script", "style", "head"}
        if tag in _BLOCKS:
            self.flush()
        self._verbatim += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style", "head"}
        if tag in _BLOCKS:
            self.flush()
        self._verbatim -= tag == "pre"

    def handle_data(self, data: str) -> None:
        self._text += "" if self._hidden else data

    def flush(self) -> None:
        text = self._text if self._verbatim else " ".join(self._text.split())
        self._text = ""
        if text.strip():
            self.found.append(text.strip())


def handbook(folder: Path) -> list[str]:
    """The handbook of one language as pages of about the same length."""
    index = (folder / "index.html").read_text(encoding="utf-8")
    names = dict.fromkeys(re.findall(r'href="([a-z0-9.-]*html)"', index))
    blocks: list[str] = []
    for name in names:
        if name != "index.html":
            parser = _Blocks()
            parser.feed((folder / name).read_text(encoding="utf-8"))
            parser.flush()
            blocks += parser.found
    length = sum(map(len, blocks)) / HANDBOOK_PAGES
    pages: list[list[str]] = []
    done = 0
    for block in blocks:
        while len(pages) <= done // length:
            pages.append([])
        pages[-1].append(block)
        done += len(block)
    return ["\n\n".join(page) for page in pages]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)
    docs = folder / "unpacked/usr/share/doc"
    for language, name in (("en", "en-US"), ("zh", "zh-CN")):
        pages = handbook(docs / "debian-handbook/html" / name)
        text = json.dumps(pages, ensure_ascii=False)
        (folder / f"handbook.{language}.json").write_text(text, encoding="utf-8")
    for language, name in (("en", "maint-guide/maint-guide.en.pdf"),
                           ("zh", "maint-guide-zh-cn/maint-guide.zh-cn.pdf")):  # fmt: skip
        (folder / f"guide.{language}.pdf").write_bytes((docs / name).read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
