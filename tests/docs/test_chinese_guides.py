"""The Chinese guides follow the English ones and use the words that the window shows in Chinese.

A guide that changes in one language fails here until the other follows: headings, tables, commands
and the names in code are compared. Whether the sentences say the same is for a reader to see.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = ROOT / "docs/guides"
CHINESE = ENGLISH / "zh-CN"
README = ROOT / "README.zh-CN.md"
CATALOGUE = ROOT / "resources/translations/zh_CN/LC_MESSAGES/r1desk.po"
GUIDES = sorted(path.name for path in CHINESE.glob("*.md"))
COMMENT = re.compile(r"(^|\s+)#.*$")


def tokens(page: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))


def spans(page: Path) -> Iterator[Token]:
    return (span for token in tokens(page) for span in token.children or ())


def shape(page: Path) -> Counter[str]:
    """How many headings of each level and how many table rows a page has."""
    return Counter(t.tag for t in tokens(page) if t.type in {"heading_open", "tr_open"})


def commands(page: Path) -> list[str]:
    """The lines of the code blocks without their comments, each block after its language."""
    blocks = [t for t in tokens(page) if t.type in {"fence", "code_block"}]
    lines = [line for t in blocks for line in [f"```{t.info}", *t.content.splitlines()]]
    return [COMMENT.sub("", line) for line in lines]


def names_in_code(page: Path) -> set[str]:
    return {span.content for span in spans(page) if span.type == "code_inline"}


def prose(page: Path) -> str:
    """The text of a page outside of code, a line for each paragraph and cell."""
    texts = {"text": lambda span: span.content, "softbreak": lambda _: " "}
    return "\n".join(
        "".join(texts[span.type](span) for span in token.children or () if span.type in texts)
        for token in tokens(page)
    )


def pages_linked_from(page: Path) -> set[Path]:
    targets = [str(s.attrs["href"]) for s in spans(page) if s.type == "link_open"]
    return {(page.parent / t.split("#")[0]).resolve() for t in targets if "://" not in t}


def test_there_are_chinese_guides():
    assert len(GUIDES) >= 12


@pytest.mark.parametrize("name", GUIDES)
def test_each_chinese_guide_has_the_headings_tables_and_commands_of_the_english_one(name: str):
    english, chinese = ENGLISH / name, CHINESE / name
    assert english.is_file()
    assert shape(chinese) == shape(english)
    assert commands(chinese) == commands(english)
    assert names_in_code(chinese) == names_in_code(english)


@pytest.mark.parametrize("name", GUIDES)
def test_both_languages_of_a_guide_link_to_each_other(name: str):
    assert CHINESE / name in pages_linked_from(ENGLISH / name)
    assert ENGLISH / name in pages_linked_from(CHINESE / name)


def test_chinese_pages_link_to_chinese_guides_where_there_are_any():
    translated = {ENGLISH / name for name in GUIDES}
    for page in [README, *(CHINESE / name for name in GUIDES)]:
        assert pages_linked_from(page) & translated <= {ENGLISH / page.name}, page.name
    assert {CHINESE / name for name in GUIDES} <= pages_linked_from(README)


def test_what_a_chinese_page_quotes_is_a_text_of_the_window():
    with CATALOGUE.open("rb") as file:
        messages = list(read_po(file, locale="zh_CN"))
    shown = {
        text
        for message in messages
        for text in ([message.string] if isinstance(message.string, str) else message.string)
    }
    quoted = [
        f"{page.name}: {text}"
        for page in [README, *(CHINESE / name for name in GUIDES)]
        for text in re.findall("“([^”]*)”", prose(page))
        if text not in shown
    ]
    assert quoted == []


def test_one_chinese_word_is_used_for_a_disk():
    pages = [README, CATALOGUE, *(CHINESE / name for name in GUIDES)]
    assert [page.name for page in pages if "磁盘" in page.read_text(encoding="utf-8")] == []


def test_markup_beside_chinese_punctuation_is_understood():
    pages = [README, *(CHINESE / name for name in GUIDES)]
    assert [page.name for page in pages if "**" in prose(page) or "`" in prose(page)] == []
