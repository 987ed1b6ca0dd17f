"""Rules that make formulas opaque to a Markdown parser.

Without them Markdown's escapes eat the backslashes of LaTeX, `_` and `*` become emphasis, and a
line of a formula that begins with `>` becomes a quote. The rules add three kinds of tokens; in
each, `markup + content + info` is the text as written:

    math_inline   inside a line; with `meta["display"]` it wants a line of its own
    math_block    one or more whole lines
    math_open     a formula whose end has not arrived; only where the text may still grow
"""

from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from r1desk.chat.formulas import MAX_SOURCE, FormulaKey
from r1desk.chat.formulas.delimiters import FormulaSpan, formula_at, is_open_formula

OPEN_END: Final = "open_end"  # key of the parser's environment: the text may still grow
MAX_LINES: Final = 100  # of one formula
_MAX_SEARCHES: Final = 60  # for ends that are not there, in one paragraph
_BLOCK_OPENERS = ("\\[", "$$", "\\begin{")


def formula_key(token: Token) -> FormulaKey:
    """The formula of a token."""
    return FormulaKey(token.content.strip(), bool(token.meta.get("display")))


def formula_source(token: Token) -> str:
    """The LaTeX of a token as it was written."""
    return token.markup + token.content + token.info


def add_math_rules(parser: MarkdownIt) -> None:
    """Teach `parser` to keep formulas as they are."""
    parser.block.ruler.before(
        "code", "math_block", _math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.block.ruler.at("paragraph", _paragraph)
    parser.inline.ruler.before("escape", "math_inline", _math_inline)


def _math_inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "\\$":
        return False
    searches = state.env.setdefault("math_searches", {})
    opening = state.src[state.pos : state.pos + 2]
    if searches.get(opening, 0) > _MAX_SEARCHES:
        return False
    span = formula_at(state.src, state.pos)
    if span is None:
        searches[opening] = searches.get(opening, 0) + 1
        if not state.env.get(OPEN_END) or not is_open_formula(state.src, state.pos):
            return _literal_opening(state, silent)
        if not silent:
            state.push("math_open", "", 0).content = state.src[state.pos :]
        state.pos = state.posMax
        return True
    if state.pos + span.length > state.posMax:
        return False
    if not silent:
        _fill(state.push("math_inline", "", 0), span)
    state.pos += span.length
    return True


def _literal_opening(state: StateInline, silent: bool) -> bool:
    r"""Keep the backslash of a `\(` or `\]` without its other end, so that no text is lost."""
    opening = state.src[state.pos : state.pos + 2]
    if opening not in {"\\(", "\\[", "\\)", "\\]"} or state.pos + 2 > state.posMax:
        return False
    if not silent:
        state.append_pending(opening)
    state.pos += 2
    return True


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    first = _line(state, start)
    if not first.startswith(_BLOCK_OPENERS):
        return False
    last = start
    text = first
    while True:
        span = formula_at(text, 0)
        if span is not None:
            if text[span.length :].strip():
                return False
            break
        if len(text) > MAX_SOURCE or last - start >= MAX_LINES:
            return False
        if last + 1 >= end or _ends_container(state, last + 1):
            return _open_block(state, start, last + 1, text, silent)
        last += 1
        text += "\n" + _line(state, last)
    if silent:
        return True
    token = state.push("math_block", "", 0)
    _fill(token, span)
    token.block = True
    token.map = [start, last + 1]
    state.line = last + 1
    return True


def _open_block(state: StateBlock, start: int, end: int, text: str, silent: bool) -> bool:
    at_end = end >= state.lineMax and state.env.get(OPEN_END)
    if not at_end or not is_open_formula(text, 0):
        return False
    if not silent:
        token = state.push("math_open", "", 0)
        token.content = text
        token.block = True
        token.map = [start, end]
        state.line = end
    return True


def _paragraph(state: StateBlock, start: int, end: int, _silent: bool) -> bool:
    """A paragraph that no line inside of a formula can end."""
    following = start + 1
    rules = state.md.block.ruler.getRules("paragraph")
    end = state.lineMax
    old_parent, state.parentType = state.parentType, "paragraph"
    inside_until = _formula_lines(state, start, end)
    while following < end and not state.isEmpty(following):
        if following >= inside_until:
            inside_until = max(inside_until, _formula_lines(state, following, end))
            nested = state.sCount[following] - state.blkIndent > 3 or state.sCount[following] < 0
            if not nested and any(rule(state, following, end, True) for rule in rules):
                break
        following += 1
    content = state.getLines(start, following, state.blkIndent, False).strip()
    state.line = following
    opening = state.push("paragraph_open", "p", 1)
    opening.map = [start, following]
    inline = state.push("inline", "", 0)
    inline.content = content
    inline.map = [start, following]
    inline.children = []
    state.push("paragraph_close", "p", -1)
    state.parentType = old_parent
    return True


def _formula_lines(state: StateBlock, start: int, end: int) -> int:
    """The line after the last one that a formula which begins inside of line `start` reaches."""
    line = _line(state, start)
    at = max(line.rfind(opener) for opener in _BLOCK_OPENERS)
    if at <= 0 or formula_at(line, at) is not None:
        return start + 1
    text = line[at:]
    if text == "$$":  # more likely the end of one
        return start + 1
    for last in range(start + 1, min(end, start + MAX_LINES)):
        if state.isEmpty(last) or _ends_container(state, last):
            return start + 1
        text += "\n" + _line(state, last)
        if formula_at(text, 0) is not None:
            return last + 1
    may_close = end - start <= MAX_LINES and end >= state.lineMax and state.env.get(OPEN_END)
    return end if may_close and is_open_formula(text, 0) else start + 1


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _ends_container(state: StateBlock, line: int) -> bool:
    return not state.isEmpty(line) and state.sCount[line] < state.blkIndent


def _fill(token: Token, span: FormulaSpan) -> None:
    token.markup = span.opening
    token.content = span.source
    token.info = span.closing
    token.meta = {"display": span.display}
