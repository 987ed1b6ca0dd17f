"""Markdown cut into blocks that are final while the text is still growing.

A model's answer arrives a few characters at a time. Parsing all of it again each time costs more
with every token, so `BlockSplitter` parses only the open end: as soon as another block begins
after it, a block can no longer change and is committed. Feeding a text in any pieces commits the
same blocks, so a stream and a reopened conversation look the same.
"""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from r1desk.chat.formulas.markdown_math import add_math_rules
from r1desk.chat.text import display_text
from r1desk.chat.text.markdown_blocks import (
    MAX_BLOCK,
    MAX_BLOCK_LINES,
    MAX_TABLE,
    SourceBlock,
    groups_of,
    inlined,
)

MAX_CODE_LINES = 300
MAX_CODE_CHARS = 16_000  # of one part of a code block
CONTINUED = "continued"  # key of a paragraph's meta: no space above it
_STEP = 1_000  # characters taken at once: what lies open is parsed again for each

_LIST_ITEM = re.compile(r"\n(?=(?:[-+*]|\d{1,9}[.)])[ \t])")
_FENCE_START = re.compile(r" {0,3}(?:`{3,}[^`\n]*|~~~[^\n]*)\n")
_FENCE_END = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*\Z")
_TYPED_FENCE = re.compile(r"( {0,3})(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^`]*+")
_TYPED_PART = 2_000  # characters of typed text that are committed at once
_MAX_TYPED_LINE = 20_000
_FORMULAS = MarkdownIt("zero")
add_math_rules(_FORMULAS)


@dataclass(frozen=True, slots=True)
class MarkdownBlock:
    """One top-level block: either Markdown tokens, or `code` with its language.

    A code block longer than `MAX_CODE_LINES` comes in several; all but the first are `continued`.
    """

    tokens: tuple[Token, ...] = ()
    code: str = ""
    language: str = ""
    is_code: bool = False
    continued: bool = False
    size: int = 0  # about how much there is to draw

    @property
    def is_table(self) -> bool:
        return bool(self.tokens) and self.tokens[0].type == "table_open"

    @property
    def is_continued_text(self) -> bool:
        """True when it goes on with the paragraph before."""
        return bool(self.tokens) and bool(self.tokens[0].meta.get(CONTINUED))


@dataclass(slots=True)
class Fence:
    """The code block that is open at the end of the text."""

    marker: str
    indent: int
    language: str
    continued: bool = False


class BlockSplitter:
    """Splits a growing Markdown text into final blocks and an open end."""

    def __init__(self) -> None:
        self._pending = ""
        self._goes_on = False  # what is pending begins inside of a paragraph that was cut
        self._fence: Fence | None = None
        self._held = ""  # a lone "\r" at the end, which may begin "\r\n"

    def feed(self, text: str) -> list[MarkdownBlock]:
        """Take more text; returns the blocks that are final now."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r") if self._held else text
        text = display_text.prose(display_text.newlines(text))
        done: list[MarkdownBlock] = []
        for start in range(0, len(text), _STEP):
            self._pending += text[start : start + _STEP]
            done.extend(self._advance())
        return done

    def tail(self, *, open_end: bool = True) -> list[MarkdownBlock]:
        """The open end as it looks now; with `open_end` the text may still grow."""
        if self._fence:
            return [self._code(self._pending)]
        groups = self._marked(groups_of(self._pending, open_end=open_end))
        return [_block(group, open_end=open_end and group is groups[-1]) for group in groups]

    def finish(self) -> list[MarkdownBlock]:
        done = self._advance()
        if self._fence:
            lines = self._pending.split("\n")
            if _FENCE_END.match(lines[-1]) and self._closes(lines[-1]):
                lines.pop()
            rest = "\n".join(lines)
            if rest or not self._fence.continued:
                done.append(self._code(rest))
        else:
            done.extend(self.tail(open_end=False))
        self._pending, self._fence = "", None
        return done

    def _advance(self) -> list[MarkdownBlock]:
        done: list[MarkdownBlock] = []
        while True:
            found = self._commit_code(self._fence) if self._fence else self._commit_text()
            if found is None:
                return done
            done.extend(found)

    def _commit_text(self) -> list[MarkdownBlock] | None:
        """Blocks that are final, or None when only the open end is left."""
        self._pending = _cut_lines(self._pending)
        whole = self._pending.rfind("\n") + 1
        # A fence is known by its first line: what follows it is not parsed again for each fence.
        fence = _FENCE_START.match(self._pending)
        known = fence.group() if fence else self._pending[:whole]
        groups = self._marked(groups_of(known, open_end=True))
        if not groups:
            self._pending = self._pending[whole:]  # only blank lines
        done: list[MarkdownBlock] = []
        last = _first_open(groups)
        for index, group in enumerate(groups):
            if group.is_fence:
                self._open_fence(group)
                return done
            if group.is_long:
                done.append(self._split_off(group))
                return done
            if index == last:
                break
            done.append(_block(group))
            self._goes_on = False
        if not done:
            return None
        self._pending = self._pending[groups[last].start :]
        return done

    def _marked(self, groups: list[SourceBlock]) -> list[SourceBlock]:
        """`groups`, the first marked where it goes on with a paragraph that was cut."""
        if self._goes_on and groups and groups[0].tokens[0].type == "paragraph_open":
            groups[0].tokens[0].meta[CONTINUED] = True
        return groups

    def _open_fence(self, group: SourceBlock) -> None:
        token = group.tokens[0]
        first, _, _ = group.source.partition("\n")
        indent = len(first) - len(first.lstrip(" "))
        self._goes_on = False
        self._fence = Fence(token.markup, indent, _language(token.info))
        self._pending = self._pending[group.start + len(first) + 1 :]

    def _split_off(self, group: SourceBlock) -> MarkdownBlock:
        """Commit the first part of a block that grew too long; the rest stays pending."""
        head, rest = _cut_block(group)
        self._pending = rest + self._pending[group.start + len(group.source) :]
        parts = self._marked(groups_of(head))
        is_paragraph = group.tokens[0].type == "paragraph_open"
        self._goes_on = is_paragraph and not self._pending.startswith("\n")
        tokens = tuple(token for part in parts for token in inlined(part))
        return MarkdownBlock(tokens=tokens, size=len(head))

    def _commit_code(self, fence: Fence) -> list[MarkdownBlock] | None:
        """The open code block once it is closed or long, or None."""
        lines = self._pending.split("\n")
        chars = 0
        for number, line in enumerate(lines[:-1]):
            if self._closes(line):
                self._pending = "\n".join(lines[number + 1 :])
                inside = "\n".join(lines[:number])
                block = self._code(inside)
                self._fence = None
                return [block] if inside or not fence.continued else []
            chars += len(line) + 1
            if number + 1 >= MAX_CODE_LINES or chars > MAX_CODE_CHARS:
                self._pending = "\n".join(lines[number + 1 :])
                block = self._code("\n".join(lines[: number + 1]))
                fence.continued = True
                return [block]
        if len(lines[-1]) > MAX_CODE_CHARS:
            self._pending = lines[-1][MAX_CODE_CHARS:]
            block = self._code("\n".join([*lines[:-1], lines[-1][:MAX_CODE_CHARS]]))
            fence.continued = True
            return [block]
        return None

    def _closes(self, line: str) -> bool:
        match = _FENCE_END.match(line)
        fence = self._fence
        return bool(match and fence and match.group(1).startswith(fence.marker))

    def _code(self, source: str) -> MarkdownBlock:
        fence = self._fence
        assert fence is not None  # noqa: S101 - the caller looked
        if fence.indent:
            source = re.sub(rf"^ {{1,{fence.indent}}}", "", source, flags=re.MULTILINE)
        return MarkdownBlock(
            code=source,
            language=fence.language,
            is_code=True,
            continued=fence.continued,
            size=len(source),
        )


def _language(info: str) -> str:
    """The first word of a fence's info string."""
    return info.split(maxsplit=1)[0] if info.strip() else ""


def _first_open(groups: list[SourceBlock]) -> int:
    """The index of the first block that may still change: the last, or the one before.

    A formula whose end never comes turns out to be text, of the block right above it.
    """
    last = len(groups) - 1
    if last > 0 and groups[last].tokens[0].type == "math_open":
        above = groups[last - 1].source
        if not above.endswith("\n\n"):
            return last - 1
    return last


def _block(group: SourceBlock, *, open_end: bool = False) -> MarkdownBlock:
    token = group.tokens[0]
    if token.type in {"fence", "code_block"}:
        code = token.content.removesuffix("\n")
        return MarkdownBlock(
            code=code, language=_language(token.info), is_code=True, size=len(group.source)
        )
    return MarkdownBlock(tokens=tuple(inlined(group, open_end=open_end)), size=len(group.source))


def _cut_lines(source: str) -> str:
    """`source` with no line longer than `MAX_BLOCK`, cut at the end of a word."""
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
    """Finds where to cut `text` before `limit`: at a space, or anywhere."""
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


def _cut_block(group: SourceBlock) -> tuple[str, str]:
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


def typed_token(text: str) -> Token:
    """A block of typed text; its children are formulas, and text with its lines and blanks."""
    children: list[Token] = []
    _FORMULAS.inline.parse(text, _FORMULAS, {}, children)
    return Token("typed", "", 0, content=text, children=children)


class TypedSplitter(BlockSplitter):
    """Splits a typed message at its code blocks, and what is between them into parts.

    But for these and formulas all stays as it was typed.
    """

    def tail(self, *, open_end: bool = True) -> list[MarkdownBlock]:
        return super().tail(open_end=open_end) if self._fence else self._typed(self._pending)

    def _commit_text(self) -> list[MarkdownBlock] | None:
        at = 0
        while (end := self._pending.find("\n", at)) >= 0:
            opening = _TYPED_FENCE.fullmatch(self._pending, at, end)
            if opening:
                blocks = self._typed(self._pending[:at])
                self._fence = Fence(opening[2], len(opening[1]), opening[3])
                self._goes_on, self._pending = False, self._pending[end + 1 :]
                return blocks
            if end > _TYPED_PART:
                return self._committed(end)
            at = end + 1
        return self._committed(_MAX_TYPED_LINE) if len(self._pending) > _MAX_TYPED_LINE else None

    def _committed(self, end: int) -> list[MarkdownBlock]:
        blocks = self._typed(self._pending[:end], goes_on=True)
        self._goes_on, self._pending = True, self._pending[end:].removeprefix("\n")
        return blocks

    def _typed(self, text: str, *, goes_on: bool = False) -> list[MarkdownBlock]:
        """A block of `text`, without the blank lines between it and a code block."""
        text = text if self._goes_on else text.lstrip("\n")
        text = text if goes_on else text.rstrip("\n")
        if not text:
            return []
        token = typed_token(text)
        token.meta[CONTINUED] = self._goes_on
        return [MarkdownBlock((token,), size=len(text))]
