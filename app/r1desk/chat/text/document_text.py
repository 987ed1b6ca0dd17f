"""Text of a QTextDocument as it is copied: formulas as LaTeX, table cells with tabs, list markers.

Qt's own plain text has U+FFFC for a formula, U+FDD0 and U+FDD1 around tables, and no numbers of
lists.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import (
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFragment,
    QTextListFormat,
    QTextTable,
)

from r1desk.chat.text import display_text
from r1desk.chat.text.formula_source import FORMULA_OBJECT

FormulaText = Callable[[QTextCharFormat], str]
_MARKERS = QTextBlockFormat.MarkerType


def document_text(
    document: QTextDocument,
    formula_text: FormulaText,
    start: int = 0,
    end: int | None = None,
    *,
    markers: bool = True,
) -> str:
    """The text between two positions, to the end by default; `markers` adds those of lists."""
    end = document.characterCount() - 1 if end is None else end
    pieces: list[str] = []
    previous: QTextBlock | None = None
    block = document.findBlock(start)
    while block.isValid() and block.position() <= end:
        if _is_edge_of_table(block):
            block = block.next()
            continue
        text = _block_text(block, formula_text, start, end)
        if previous is not None:
            pieces.append(_separator(previous, block))
        if markers and start <= block.position():
            pieces.append(_marker(block))
        pieces.append(text)
        previous = block
        block = block.next()
    return display_text.unbroken("".join(pieces))


def _block_text(block: QTextBlock, formula_text: FormulaText, start: int, end: int) -> str:
    pieces = []
    iterator = block.begin()
    while not iterator.atEnd():
        fragment = iterator.fragment()
        low = max(start, fragment.position())
        high = min(end, fragment.position() + fragment.length())
        if low < high:
            fmt = fragment.charFormat()
            if fmt.objectType() == FORMULA_OBJECT:
                pieces.append(formula_text(fmt) * (high - low))
            else:
                pieces.append(_cut(fragment, low, high))
        iterator += 1
    return "".join(pieces)


def _cut(fragment: QTextFragment, low: int, high: int) -> str:
    """The text of `fragment` between two positions of Qt, which counts in UTF-16."""
    start, text = fragment.position(), fragment.text()
    if high - low == fragment.length():
        return text
    encoded = text.encode("utf-16-le", "surrogatepass")
    return encoded[2 * (low - start) : 2 * (high - start)].decode("utf-16-le", "replace")


def _separator(above: QTextBlock, block: QTextBlock) -> str:
    table, row = _cell(block)
    table_above, row_above = _cell(above)
    if table is None or table != table_above or row != row_above:
        return "\n"
    return "\t"


def _is_edge_of_table(block: QTextBlock) -> bool:
    """Whether it is an empty paragraph that Qt keeps around a table at an end of the document."""
    if block.length() > 1 or _cell(block)[0] is not None:
        return False
    above, below = block.previous(), block.next()
    return (not above.isValid() and below.isValid() and _cell(below)[0] is not None) or (
        not below.isValid() and above.isValid() and _cell(above)[0] is not None
    )


def _cell(block: QTextBlock) -> tuple[QTextTable | None, int]:
    table = QTextCursor(block).currentTable()
    return (table, table.cellAt(block.position()).row()) if table else (None, -1)


def _marker(block: QTextBlock) -> str:
    items = block.textList()
    if items is None:
        return ""
    indent = "  " * (items.format().indent() - 1)
    ticked = block.blockFormat().marker()
    if ticked is not _MARKERS.NoMarker:
        return f"{indent}- [{'x' if ticked is _MARKERS.Checked else ' '}] "
    if items.format().style() == QTextListFormat.Style.ListDecimal:
        return f"{indent}{items.itemText(block).strip()} "
    return f"{indent}- "
