"""Finds where a document may be cut for the end of a page: between two lines of text."""

from __future__ import annotations

from PySide6.QtGui import QTextBlock, QTextCursor, QTextDocument


def page_parts(document: QTextDocument, start: float, free: float, *, is_whole_page: bool) -> float:
    """The end of the part from `start` that fits into `free` pixels of height.

    `start` itself where no line fits. A line higher than a whole page is cut.
    """
    height = document.size().height()
    if height - start <= free:
        return height
    end = start
    for top, bottom in line_rows(document):
        if bottom > start + free:
            end = top
            break
    if end > start:
        return end
    return start + free if is_whole_page else start


def line_rows(document: QTextDocument) -> list[tuple[float, float]]:
    """Upper and lower edge of each row: a line of text, or a whole row of a table."""
    lines: list[tuple[float, float]] = []
    cells: dict[tuple[int, int], tuple[float, float]] = {}
    layout = document.documentLayout()
    block = document.begin()
    while block.isValid():
        top = layout.blockBoundingRect(block).top()
        text = block.layout()
        if row := _table_row(block):
            bottom = top + text.boundingRect().height()
            above, below = cells.get(row, (top, bottom))
            cells[row] = (min(above, top), max(below, bottom))
            block = block.next()
            continue
        for number in range(text.lineCount()):
            line = text.lineAt(number)
            lines.append((top + line.y(), top + line.y() + line.height()))
        block = block.next()
    rows: list[tuple[float, float]] = []
    for top, bottom in sorted([*lines, *cells.values()]):
        if rows and top < rows[-1][1] - 0.5:
            rows[-1] = (rows[-1][0], max(rows[-1][1], bottom))
        else:
            rows.append((top, bottom))
    return rows


def _table_row(block: QTextBlock) -> tuple[int, int] | None:
    """The place of the block's table and the number of its row; None outside of tables."""
    table = QTextCursor(block).currentTable()
    if table is None:
        return None
    return table.firstPosition(), table.cellAt(block.position()).row()
