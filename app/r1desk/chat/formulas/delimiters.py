r"""Finds LaTeX in text: `\( \)`, `\[ \]`, `$$ $$`, `$ $`, `\begin{…} \end{…}`, a bare `\boxed{…}`.

Works on plain strings; `markdown_math` makes rules of a Markdown parser from it.
"""

import re
from dataclasses import dataclass
from typing import Final

from r1desk.chat.formulas import MAX_SOURCE

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
