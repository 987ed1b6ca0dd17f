"""Markdown cut into blocks that are final while the text is still growing.

A model's answer arrives a few characters at a time. Parsing all of it again each time costs more
with every token, so `BlockSplitter` parses only the open end: as soon as another block begins
after it, a block can no longer change and is committed. Feeding a text in any pieces commits the
same blocks, so a stream and a reopened conversation look the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from r1desk.chat import text as fit

MAX_BLOCK = 4_000  # characters; what grows longer is committed in parts
MAX_BLOCK_LINES = 120
MAX_CODE_LINES = 300
MAX_NESTING = 20
_STEP = 1_000  # characters taken at once: what lies open is parsed again for each
_MAX_BRACKETS = 150  # in one paragraph; matching them up is quadratic
_MAX_STARS = 600

_FENCE_END = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*\Z")
_LIST_ITEM = re.compile(r"\n(?=(?:[-+*]|\d{1,9}[.)])[ \t])")


@dataclass(frozen=True, slots=True)
class Block:
    """One top-level block: either Markdown tokens, or `code` with its language.

    A code block longer than `MAX_CODE_LINES` comes in several; all but the first are `continued`.
    `closed` says that the last line of the code is here.
    """

    tokens: tuple[Token, ...] = ()
    code: str = ""
    language: str = ""
    is_code: bool = False
    continued: bool = False
    closed: bool = True
    size: int = 0  # about how much there is to draw


@dataclass(slots=True)
class _Fence:
    """The code block that is open at the end of the text."""

    marker: str
    indent: int
    language: str
    continued: bool = False


class BlockSplitter:
    """Splits a growing Markdown text into final blocks and an open end."""

    def __init__(self) -> None:
        self._pending = ""
        self._fence: _Fence | None = None
        self._held = ""  # a lone "\r" at the end may be half of "\r\n"

    def feed(self, text: str) -> list[Block]:
        """Take more text; returns the blocks that are final now."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r") if self._held else text
        text = fit.prose(fit.newlines(text))
        done: list[Block] = []
        for start in range(0, len(text), _STEP):
            self._pending += text[start : start + _STEP]
            done.extend(self._advance())
        return done

    def tail(self) -> list[Block]:
        """The open end as it looks now."""
        if self._fence:
            return [self._code(self._pending, closed=False)]
        return [_block(group) for group in _groups(self._pending)]

    def finish(self) -> list[Block]:
        """No more text: the rest is final."""
        done = self._advance()
        if self._fence:
            lines = self._pending.split("\n")
            if _FENCE_END.match(lines[-1]) and self._closes(lines[-1]):
                lines.pop()
            rest = "\n".join(lines)
            if rest or not self._fence.continued:
                done.append(self._code(rest, closed=True))
        else:
            done.extend(self.tail())
        self._pending, self._fence = "", None
        return done

    def _advance(self) -> list[Block]:
        done: list[Block] = []
        while True:
            found = self._take_code() if self._fence else self._take_prose()
            if found is None:
                return done
            done.extend(found)

    def _take_prose(self) -> list[Block] | None:
        """Blocks that are final, or None when only the open end is left."""
        self._pending = _cut_lines(self._pending)
        whole = self._pending.rfind("\n") + 1
        groups = _groups(self._pending[:whole])
        if not groups:
            self._pending = self._pending[whole:]  # only blank lines
        done: list[Block] = []
        for index, group in enumerate(groups):
            if group.is_fence:
                self._open_fence(group)
                return done
            if group.is_long:
                done.append(self._split_off(group))
                return done
            if index == len(groups) - 1:
                break
            done.append(_block(group))
        if not done:
            return None
        self._pending = self._pending[groups[-1].start :]
        return done

    def _open_fence(self, group: _Group) -> None:
        token = group.tokens[0]
        first, _, _ = group.source.partition("\n")
        indent = len(first) - len(first.lstrip(" "))
        words = token.info.split()
        self._fence = _Fence(token.markup, indent, words[0] if words else "")
        self._pending = self._pending[group.start + len(first) + 1 :]

    def _split_off(self, group: _Group) -> Block:
        """Commit the first part of a block that grew too long; the rest stays pending."""
        head, rest = _cut_block(group)
        self._pending = rest + self._pending[group.start + len(group.source) :]
        parts = _groups(head)
        tokens = tuple(token for part in parts for token in _inlined(part))
        return Block(tokens=tokens, size=len(head))

    def _take_code(self) -> list[Block] | None:
        """The open code block once it is closed or long, or None."""
        fence = self._fence
        assert fence is not None  # noqa: S101 - the caller looked
        lines = self._pending.split("\n")
        chars = 0
        for number, line in enumerate(lines[:-1]):
            if self._closes(line):
                self._pending = "\n".join(lines[number + 1 :])
                inside = "\n".join(lines[:number])
                block = self._code(inside, closed=True)
                self._fence = None
                return [block] if inside or not fence.continued else []
            chars += len(line) + 1
            if number + 1 >= MAX_CODE_LINES or chars > MAX_BLOCK * 4:
                self._pending = "\n".join(lines[number + 1 :])
                block = self._code("\n".join(lines[: number + 1]), closed=False)
                fence.continued = True
                return [block]
        if len(lines[-1]) > MAX_BLOCK * 4:
            self._pending = lines[-1][MAX_BLOCK * 4 :]
            block = self._code("\n".join([*lines[:-1], lines[-1][: MAX_BLOCK * 4]]), closed=False)
            fence.continued = True
            return [block]
        return None

    def _closes(self, line: str) -> bool:
        match = _FENCE_END.match(line)
        fence = self._fence
        return bool(match and fence and match.group(1).startswith(fence.marker))

    def _code(self, source: str, *, closed: bool) -> Block:
        fence = self._fence
        assert fence is not None  # noqa: S101 - the caller looked
        if fence.indent:
            source = re.sub(rf"^ {{1,{fence.indent}}}", "", source, flags=re.MULTILINE)
        return Block(
            code=source,
            language=fence.language,
            is_code=True,
            continued=fence.continued,
            closed=closed,
            size=len(source),
        )


@dataclass(frozen=True, slots=True)
class _Group:
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


def _groups(source: str) -> list[_Group]:
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
        _Group(tuple(tokens), start, source[start:end])
        for (start, tokens), end in zip(found, ends, strict=True)
    ]


def _block(group: _Group) -> Block:
    token = group.tokens[0]
    if token.type in {"fence", "code_block"}:
        words = token.info.split()
        language = words[0] if words else ""
        code = token.content.removesuffix("\n")
        return Block(code=code, language=language, is_code=True, size=len(group.source))
    return Block(tokens=tuple(_inlined(group)), size=len(group.source))


def _inlined(group: _Group) -> Sequence[Token]:
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


def _cut_lines(source: str) -> str:
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


def _cut_block(group: _Group) -> tuple[str, str]:
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
