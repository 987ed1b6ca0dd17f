"""Typed messages: code blocks and formulas are found in them, all else stays as it is."""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from r1desk.chat.formulas.markdown_math import add_math_rules
from r1desk.chat.text.block_splitter import CONTINUED, BlockSplitter, Fence, MarkdownBlock

_FENCE = re.compile(r"( {0,3})(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^`]*+")
_PART = 2_000  # characters of text that are committed at once
_MAX_LINE = 20_000
_FORMULAS = MarkdownIt("zero")
add_math_rules(_FORMULAS)


def typed_token(text: str) -> Token:
    """A block of typed text; its children are formulas, and text with its lines and blanks."""
    children: list[Token] = []
    _FORMULAS.inline.parse(text, _FORMULAS, {}, children)
    return Token("typed", "", 0, content=text, children=children)


class TypedSplitter(BlockSplitter):
    """Splits a typed text at its code blocks, and what is between them into parts."""

    def tail(self, *, open_end: bool = True) -> list[MarkdownBlock]:
        return super().tail(open_end=open_end) if self._fence else self._typed(self._pending)

    def _commit_text(self) -> list[MarkdownBlock] | None:
        at = 0
        while (end := self._pending.find("\n", at)) >= 0:
            opening = _FENCE.fullmatch(self._pending, at, end)
            if opening:
                blocks = self._typed(self._pending[:at])
                self._fence = Fence(opening[2], len(opening[1]), opening[3])
                self._goes_on, self._pending = False, self._pending[end + 1 :]
                return blocks
            if end > _PART:
                return self._committed(end)
            at = end + 1
        return self._committed(_MAX_LINE) if len(self._pending) > _MAX_LINE else None

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
