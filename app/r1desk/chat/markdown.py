"""Markdown cut into blocks that are final while the text is still growing.

A model's answer arrives a few characters at a time. Parsing all of it again each time costs more
with every token, so `BlockSplitter` parses only the open end: as soon as another block begins
after it, a block can no longer change and is committed. Feeding a text in any pieces commits the
same blocks, so a stream and a reopened conversation look the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markdown_it.token import Token

from r1desk.chat import text as fit
from r1desk.chat.groups import MAX_BLOCK, Group, cut_block, cut_lines, groups_of, inlined

MAX_CODE_LINES = 300
_STEP = 1_000  # characters taken at once: what lies open is parsed again for each

_FENCE_END = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*\Z")


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
        return [_block(group) for group in groups_of(self._pending)]

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
        self._pending = cut_lines(self._pending)
        whole = self._pending.rfind("\n") + 1
        groups = groups_of(self._pending[:whole])
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

    def _open_fence(self, group: Group) -> None:
        token = group.tokens[0]
        first, _, _ = group.source.partition("\n")
        indent = len(first) - len(first.lstrip(" "))
        words = token.info.split()
        self._fence = _Fence(token.markup, indent, words[0] if words else "")
        self._pending = self._pending[group.start + len(first) + 1 :]

    def _split_off(self, group: Group) -> Block:
        """Commit the first part of a block that grew too long; the rest stays pending."""
        head, rest = cut_block(group)
        self._pending = rest + self._pending[group.start + len(group.source) :]
        parts = groups_of(head)
        tokens = tuple(token for part in parts for token in inlined(part))
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


def _block(group: Group) -> Block:
    token = group.tokens[0]
    if token.type in {"fence", "code_block"}:
        words = token.info.split()
        language = words[0] if words else ""
        code = token.content.removesuffix("\n")
        return Block(code=code, language=language, is_code=True, size=len(group.source))
    return Block(tokens=tuple(inlined(group)), size=len(group.source))
