"""The top-level blocks of a piece of Markdown, and how those that grow too long are cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_BLOCK = 4_000  # characters; what grows longer is committed in parts
MAX_BLOCK_LINES = 120
MAX_NESTING = 20
_MAX_BRACKETS = 150  # in one paragraph; matching them up is quadratic
_MAX_STARS = 600
_LIST_ITEM = re.compile(r"\n(?=(?:[-+*]|\d{1,9}[.)])[ \t])")


@dataclass(frozen=True, slots=True)
class Group:
    """The tokens of one top-level block, and where its source begins."""

    tokens: tuple[Token, ...]
    start: int
    source: str

    @property
    def is_fence(self) -> bool:
        return self.tokens[0].type == "fence"

    @property
    def is_long(self) -> bool:
        return len(self.source) > MAX_BLOCK or self.source.count("\n") > MAX_BLOCK_LINES


def _parser(*off: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", *off])
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


def groups_of(source: str) -> list[Group]:
    """The top-level blocks of `source`, their inline content not parsed yet."""
    if not source.strip():
        return []
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    found: list[tuple[int, list[Token]]] = []
    depth = 0
    for token in _BLOCKS.parse(source):
        if depth == 0:
            found.append((offsets[token.map[0]] if token.map else 0, []))
        found[-1][1].append(token)
        depth += token.nesting
    ends = [start for start, _ in found[1:]] + [len(source)]
    return [
        Group(tuple(tokens), start, source[start:end])
        for (start, tokens), end in zip(found, ends, strict=True)
    ]


def inlined(group: Group) -> Sequence[Token]:
    """The tokens of `group`, with what stands inside of its lines."""
    for token in group.tokens:
        if token.type == "inline" and not token.children:
            parser = _inline_parser(token.content)
            token.children = []
            parser.inline.parse(token.content, parser, {}, token.children)
    return group.tokens


def _inline_parser(content: str) -> MarkdownIt:
    """A parser whose time on `content` stays in bounds, whatever was written to prevent that."""
    if content.count("*") + content.count("_") + content.count("~") > _MAX_STARS:
        return _PLAIN
    if content.count("[") > _MAX_BRACKETS:
        return _NO_BRACKETS
    return _FULL


def cut_lines(source: str) -> str:
    """`source` with no line longer than `MAX_BLOCK`, cut at spaces where there are some."""
    if len(source) <= MAX_BLOCK:
        return source
    lines = []
    for line in source.split("\n"):
        rest = line
        while len(rest) > MAX_BLOCK:
            space = rest.rfind(" ", MAX_BLOCK // 2, MAX_BLOCK)
            end = space if space > 0 else MAX_BLOCK
            lines.append(rest[:end])
            rest = rest[end:].lstrip(" ")
        lines.append(rest)
    return "\n".join(lines)


def _limit(source: str) -> int:
    """How much of a long block is committed at most: so many characters or lines."""
    end = 0
    for _ in range(MAX_BLOCK_LINES):
        end = source.find("\n", end) + 1
        if end == 0 or end > MAX_BLOCK:
            return MAX_BLOCK
    return end


def cut_block(group: Group) -> tuple[str, str]:
    """A long block as a first part of at most about `MAX_BLOCK` characters, and the rest."""
    source = group.source
    kind = group.tokens[0].type
    limit = _limit(source)
    if kind in {"bullet_list_open", "ordered_list_open"}:
        items = [match.end() for match in _LIST_ITEM.finditer(source, 0, limit)]
        if items:
            return source[: items[-1]], source[items[-1] :]
    newline = source.rfind("\n", 1, limit)
    end = newline + 1 if newline >= 0 else limit
    head, rest = source[:end], source[end:]
    if kind == "table_open":
        lines = source.split("\n", 2)
        titles = "\n".join(lines[:2]) + "\n"
        if 2 * len(titles) < MAX_BLOCK and end > len(titles):
            return head, titles + rest
    return head, rest
