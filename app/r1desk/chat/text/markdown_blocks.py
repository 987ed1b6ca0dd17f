"""The top-level blocks of a piece of Markdown, and how those that grow too long are cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from r1desk.chat.formulas.markdown_math import OPEN_END, add_math_rules
from r1desk.chat.text.autolinks import with_autolinks
from r1desk.chat.text.footnotes import add_footnote_rules

MAX_BLOCK = 8_000  # characters; what grows longer is committed in parts
MAX_TABLE = 4_000
MAX_BLOCK_LINES = 120
MAX_NESTING = 20
_MAX_BRACKETS = 150  # in one paragraph; matching them up is quadratic
_MAX_STARS = 600
_SENTENCE_END = re.compile(r"[.!?…]['\")\]]*\s|[。！？]")
_LIST_ITEM = re.compile(r"\n(?=(?:[-+*]|\d{1,9}[.)])[ \t])")


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """The tokens of one top-level block, and where its source begins."""

    tokens: tuple[Token, ...]
    start: int
    source: str

    @property
    def is_fence(self) -> bool:
        return self.tokens[0].type == "fence"

    @property
    def is_long(self) -> bool:
        return len(self.source) > self.max_size or self.source.count("\n") > MAX_BLOCK_LINES

    @property
    def max_size(self) -> int:
        return MAX_TABLE if self.tokens[0].type == "table_open" else MAX_BLOCK


def _parser(*off: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", *off])
    add_math_rules(parser)
    add_footnote_rules(parser)
    # Which links may be followed is decided where they are drawn, with their text kept.
    parser.validateLink = lambda _url: True  # type: ignore[method-assign]
    return parser


_FULL = _parser()
_NO_BRACKETS = _parser("link", "image")
_PLAIN = _parser("link", "image", "emphasis", "strikethrough")
_BLOCKS = _parser()
_BLOCKS.core.ruler.disable(["inline", "text_join"])
# A definition changes links before and after it, which were drawn already: it stays text.
_BLOCKS.disable("reference")


def groups_of(source: str, *, open_end: bool = False) -> list[SourceBlock]:
    """The top-level blocks of `source`, their inline content not parsed yet.

    With `open_end` the text may still grow: a formula without an end may be an unfinished one.
    """
    if not source.strip():
        return []
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    found: list[tuple[int, list[Token]]] = []
    depth = 0
    for token in _BLOCKS.parse(source, {OPEN_END: open_end}):
        if depth == 0:
            found.append((offsets[token.map[0]] if token.map else 0, []))
        found[-1][1].append(token)
        depth += token.nesting
    ends = [start for start, _ in found[1:]] + [len(source)]
    return [
        SourceBlock(tuple(tokens), start, source[start:end])
        for (start, tokens), end in zip(found, ends, strict=True)
    ]


def inlined(group: SourceBlock, *, open_end: bool = False) -> Sequence[Token]:
    """The tokens of `group`, with what stands inside of its lines.

    With `open_end` the last line may still grow.
    """
    last = next((token for token in reversed(group.tokens) if token.type == "inline"), None)
    for token in group.tokens:
        if token.type == "inline" and not token.children:
            parser = _inline_parser(token.content)
            environment = {OPEN_END: open_end and token is last}
            token.children = []
            parser.inline.parse(token.content, parser, environment, token.children)
            token.children = with_autolinks(token.children)
    return group.tokens


def _inline_parser(content: str) -> MarkdownIt:
    """A parser whose time on `content` stays in bounds, whatever was written to prevent that."""
    if content.count("*") + content.count("_") + content.count("~") > _MAX_STARS:
        return _PLAIN
    if content.count("[") > _MAX_BRACKETS:
        return _NO_BRACKETS
    return _FULL


def cut_lines(source: str) -> str:
    """`source` with no line longer than `MAX_BLOCK`, cut at the end of a sentence or word."""
    if len(source) <= MAX_BLOCK:
        return source
    lines = []
    for line in source.split("\n"):
        rest = line
        while len(rest) > MAX_BLOCK:
            end = _cut_place(rest, MAX_BLOCK)
            lines.append(rest[:end])
            rest = rest[end:].lstrip(" ")
        lines.append(rest)
    return "\n".join(lines)


def _cut_place(text: str, limit: int) -> int:
    """Finds where to cut `text` before `limit`: after a sentence, at a space, or anywhere."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text, limit // 2, limit)]
    if ends:
        return ends[-1]
    space = text.rfind(" ", limit // 2, limit)
    return space if space > 0 else limit


def _limit(source: str, max_size: int) -> int:
    """The most characters of a long block that are committed at once."""
    end = 0
    for _ in range(MAX_BLOCK_LINES):
        end = source.find("\n", end) + 1
        if end == 0 or end > max_size:
            return max_size
    return end


def cut_block(group: SourceBlock) -> tuple[str, str]:
    """A long block as a first part of at most about `max_size` characters, and the rest."""
    source = group.source
    kind = group.tokens[0].type
    limit = _limit(source, group.max_size)
    if kind in {"bullet_list_open", "ordered_list_open"}:
        items = [match.end() for match in _LIST_ITEM.finditer(source, 0, limit)]
        if items:
            return source[: items[-1]], source[items[-1] :]
    newline = source.rfind("\n", 1, limit)
    end = newline + 1 if newline >= 0 else _cut_place(source, limit)
    head, rest = source[:end], source[end:]
    if kind == "table_open":
        lines = source.split("\n", 2)
        titles = "\n".join(lines[:2]) + "\n"
        if 2 * len(titles) < MAX_TABLE and end > len(titles):
            return head, titles + rest
    return head, rest
