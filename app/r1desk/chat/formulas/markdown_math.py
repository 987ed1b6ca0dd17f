r"""Finds LaTeX, and rules that make it opaque to a Markdown parser.

Known are `\( \)`, `\[ \]`, `$$ $$`, `$ $`, `\begin{…} \end{…}` and a bare `\boxed{…}`.

Without them Markdown's escapes eat the backslashes of LaTeX, `_` and `*` become emphasis, and a
line of a formula that begins with `>` becomes a quote. The rules add three kinds of tokens; in
each, `markup + content + info` is the text as written:

    math_inline   inside a line; with `meta["display"]` it wants a line of its own
    math_block    one or more whole lines
    math_open     a formula whose end has not arrived; only where the text may still grow
"""

import re
from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from r1desk.chat.formulas import MAX_SOURCE, FormulaKey

_MAX_DOLLAR: Final = 600  # characters between two single dollars
ENVIRONMENTS: Final = frozenset({
    "align", "alignat", "aligned", "alignedat", "array", "bmatrix", "Bmatrix", "cases", "dcases",
    "displaymath", "eqnarray", "equation", "flalign", "gather", "gathered", "math", "matrix",
    "multline", "pmatrix", "rcases", "smallmatrix", "split", "vmatrix", "Vmatrix",
})  # fmt: skip
_BEGIN = re.compile(r"\\begin\{([A-Za-z]+)(\*?)\}")
_BOXED = re.compile(r"\\boxed\s*\{")
_WORD_AMONG_NUMBERS = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}(?=[\s,.;:!?]|\Z)")
_LOOKS_LIKE_LATEX = re.compile(r"[\\^_{=]")
_OPENERS: Final = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}


@dataclass(frozen=True, slots=True)
class FormulaSpan:
    """A formula in a text: `opening + source + closing` is the text from where it begins."""

    opening: str
    source: str
    closing: str
    display: bool

    @property
    def length(self) -> int:
        return len(self.opening) + len(self.source) + len(self.closing)

    @property
    def text(self) -> str:
        """The formula as it was written, delimiters included."""
        return self.opening + self.source + self.closing


def formula_at(text: str, start: int) -> FormulaSpan | None:
    """The formula that begins exactly at `start`, or None."""
    two = text[start : start + 2]
    if two in _OPENERS:
        return _delimited(text, start, two)
    if two[:1] == "$":
        return _between_dollars(text, start)
    if two == "\\b":
        return _environment(text, start) or _boxed(text, start)
    return None


def is_open_formula(text: str, start: int) -> bool:
    """Whether a formula begins at `start` whose end may still come."""
    rest = text[start:]
    if len(rest) > MAX_SOURCE:
        return False
    if rest[:2] in _OPENERS:
        return True
    if rest[:1] == "$":
        return (
            _may_open_dollar(text, start)
            and len(rest) < _MAX_DOLLAR
            and not rest[1:2].isdigit()
            and "\n\n" not in rest
            and "$" not in rest[1:]
            and bool(_LOOKS_LIKE_LATEX.search(rest))
        )
    begin = _BEGIN.match(rest)
    return (begin is not None and begin[1] in ENVIRONMENTS) or bool(_BOXED.match(rest))


def _delimited(text: str, start: int, opening: str) -> FormulaSpan | None:
    closing = _OPENERS[opening]
    at = _find(text, closing, start + 2, start + MAX_SOURCE)
    source = text[start + 2 : at]
    if at < 0 or not source.strip() or (opening == "\\[" and text[at + 2 : at + 3] == "("):
        return None  # nothing, or brackets that were escaped in the text of a link
    return FormulaSpan(opening, source, closing, display=opening != "\\(")


def _may_open_dollar(text: str, start: int) -> bool:
    before = text[start - 1 : start]
    after = text[start + 1 : start + 2]
    if not after or after.isspace() or after == "$":
        return False
    return before not in {"\\", "$"} and not (before.isascii() and before.isalnum())


def _between_dollars(text: str, start: int) -> FormulaSpan | None:
    if not _may_open_dollar(text, start):
        return None
    end = _find(text, "$", start + 1, start + _MAX_DOLLAR)
    source = text[start + 1 : end]
    after = text[end + 1 : end + 2]
    if end < 0 or source[-1].isspace() or (after.isascii() and after.isalnum()) or after == "$":
        return None
    if "\n\n" in source or _reads_as_prices(source):
        return None
    return FormulaSpan("$", source, "$", display=False)


def _reads_as_prices(source: str) -> bool:
    """Whether it is what lies between two amounts of money, as in "5 apples or 4"."""
    if not source[:1].isdigit() or "\\" in source or "^" in source or "=" in source:
        return False
    return bool(_WORD_AMONG_NUMBERS.search(source)) or source[-1] in ",;:-/\u2013"


def _environment(text: str, start: int) -> FormulaSpan | None:
    begin = _BEGIN.match(text, start)
    if begin is None or begin[1] not in ENVIRONMENTS:
        return None
    name = re.escape(begin[1] + begin[2])
    depth = 0
    for found in re.compile(rf"\\(begin|end)\{{{name}\}}").finditer(
        text, start, start + MAX_SOURCE
    ):
        depth += 1 if found[1] == "begin" else -1
        if depth == 0:
            return FormulaSpan("", text[start : found.end()], "", display=True)
    return None


def _boxed(text: str, start: int) -> FormulaSpan | None:
    found = _BOXED.match(text, start)
    if found is None:
        return None
    depth = 1
    for at in range(found.end(), min(len(text), start + MAX_SOURCE)):
        if text[at] in "{}" and not _is_escaped(text, at):
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return FormulaSpan("", text[start : at + 1], "", display=False)
    return None


def _find(text: str, closing: str, at: int, end: int) -> int:
    """Where `closing` stands without a backslash before it; -1 where it does not."""
    while (at := text.find(closing, at, end)) >= 0 and _is_escaped(text, at):
        at += 1
    return at


def _is_escaped(text: str, at: int) -> bool:
    """Whether an odd number of backslashes stands before `at`."""
    backslashes = 0
    while at > backslashes and text[at - 1 - backslashes] == "\\":
        backslashes += 1
    return backslashes % 2 == 1


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
            return False
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


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _ends_container(state: StateBlock, line: int) -> bool:
    return not state.isEmpty(line) and state.sCount[line] < state.blkIndent


def _fill(token: Token, span: FormulaSpan) -> None:
    token.markup = span.opening
    token.content = span.source
    token.info = span.closing
    token.meta = {"display": span.display}
