"""Footnotes of GitHub's Markdown, without waiting for the end of the text.

A reference `[^1]` is a raised number; a definition `[^1]: …` stays where it was written. Tokens:

    footnote_ref     inside a line; `content` is the label
    footnote_open, inline, footnote_close     a definition; `content` of the first is the label
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_REFERENCE = re.compile(r"\[\^([^\s\[\]^]{1,40})\](?!:)")
_DEFINITION = re.compile(r"\[\^([^\s\[\]^]{1,40})\]:[ \t]*")


def add_footnote_rules(parser: MarkdownIt) -> None:
    """Teach `parser` footnotes."""
    alternatives = {"alt": ["paragraph", "reference"]}
    parser.block.ruler.before("reference", "footnote_definition", _definition, alternatives)
    parser.inline.ruler.before("link", "footnote_reference", _reference)


def _reference(state: StateInline, silent: bool) -> bool:
    found = _REFERENCE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("footnote_ref", "", 0).content = found[1]
    state.pos = found.end()
    return True


def _definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.sCount[start] - state.blkIndent > 3:
        return False
    found = _DEFINITION.match(_line(state, start))
    if found is None:
        return False
    if silent:
        return True
    lines = [_line(state, start)[found.end() :]]
    following = start + 1
    while following < end and not state.isEmpty(following):
        if state.sCount[following] < state.blkIndent or _DEFINITION.match(_line(state, following)):
            break
        lines.append(_line(state, following))
        following += 1
    opening = state.push("footnote_open", "", 1)
    opening.content = found[1]
    opening.map = [start, following]
    inline = state.push("inline", "", 0)
    inline.content = "\n".join(lines)
    inline.map = [start, following]
    inline.children = []
    state.push("footnote_close", "", -1)
    state.line = following
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
