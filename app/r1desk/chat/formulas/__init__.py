"""Typesetting of LaTeX formulas: found in Markdown, set in a child process, painted with Qt.

The child imports `formula_worker`, which imports no Qt: the child stays small. The bounds of a
formula are the same in the window and in the child.
"""

from typing import Final, NamedTuple

MAX_SOURCE: Final = 3_000  # characters of one formula
MAX_PARTS: Final = 2_000  # glyphs, rules and lines of one formula
MAX_EXTENT: Final = 400_000  # thousandths of an em: 400 em in width or height
MAX_OUTLINE: Final = 8_000  # characters of one glyph's outline
MAX_SPEECH: Final = 4_000  # characters of the text for screen readers
MAX_REPLY: Final = 400_000  # bytes of one reply of the child process


class FormulaKey(NamedTuple):
    """Identifies a layout: the LaTeX between the delimiters, and the style."""

    source: str
    display: bool
