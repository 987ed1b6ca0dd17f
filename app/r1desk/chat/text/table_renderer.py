"""Markdown tables as tables of a QTextDocument."""

from collections.abc import Callable, Sequence

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QTextBlockFormat,
    QTextCursor,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
    QTextTableCellFormat,
    QTextTableFormat,
)

from r1desk.chat.text.text_style import TextStyle

_MAX_COLUMNS = 24
_ALIGNMENTS = {
    "text-align:right": Qt.AlignmentFlag.AlignRight,
    "text-align:center": Qt.AlignmentFlag.AlignHCenter,
}
Cell = tuple[Token, bool, Qt.AlignmentFlag]


def insert_table(
    cursor: QTextCursor,
    tokens: Sequence[Token],
    style: TextStyle,
    set_cell: Callable[[QTextCursor, Token, bool], None],
) -> QTextTable | None:
    """Insert the table of `tokens`; one with too many columns is set as lines of text."""
    rows = _rows(tokens)
    columns = max(len(row) for row in rows)
    if columns > _MAX_COLUMNS:
        _insert_as_text(cursor, rows, style)
        return None
    table = cursor.insertTable(len(rows), columns, _table_format(style))
    colours = style.colours
    for y, row in enumerate(rows):
        for x, (token, heading, alignment) in enumerate(row):
            cell = table.cellAt(y, x)
            if heading:
                fmt = QTextTableCellFormat()
                fmt.setBackground(QBrush(colours.code_background))
                cell.setFormat(fmt)
            at = cell.firstCursorPosition()
            block = QTextBlockFormat()
            block.setAlignment(alignment)
            at.setBlockFormat(block)
            set_cell(at, token, heading)
    return table


def _table_format(style: TextStyle) -> QTextTableFormat:
    fmt = QTextTableFormat()
    fmt.setBorder(1)
    fmt.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
    fmt.setBorderBrush(QBrush(style.colours.edge))
    fmt.setBorderCollapse(True)
    fmt.setCellPadding(style.em_px * 0.35)
    fmt.setCellSpacing(0)
    fmt.setTopMargin(style.em_px * 0.3)
    fmt.setBottomMargin(style.em_px * 0.3)
    fmt.setHeaderRowCount(1)
    fmt.setWidth(QTextLength())
    return fmt


def _rows(tokens: Sequence[Token]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    heading = False
    alignment = Qt.AlignmentFlag.AlignLeading
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type in {"th_open", "td_open"}:
            heading = token.type == "th_open"
            alignment = _ALIGNMENTS.get(
                str(token.attrGet("style") or ""), Qt.AlignmentFlag.AlignLeading
            )
        elif token.type == "inline":
            rows[-1].append((token, heading, alignment))
    return rows


def _insert_as_text(cursor: QTextCursor, rows: list[list[Cell]], style: TextStyle) -> None:
    fmt = cursor.charFormat()
    fmt.setFontFamilies(style.mono.families())
    fmt.setForeground(QBrush(style.colours.text))
    lines = (" | ".join(token.content for token, _, _ in row) for row in rows)
    cursor.insertText("\u2028".join(lines), fmt)
