"""Markdown tokens set into a QTextDocument, without HTML in between.

Only what is named here can appear in the document: text, emphasis, lists, quotes, tables, rules
and http(s) links. Nothing that loads anything exists in it.
"""

import re
from collections.abc import Callable, Sequence

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QFont,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFrameFormat,
    QTextLength,
    QTextTableCell,
    QTextTableCellFormat,
    QTextTableFormat,
)

from r1desk.chat.formulas.markdown_math import formula_source
from r1desk.chat.text import block_marks, display_text
from r1desk.chat.text.formula_objects import FormulaObjects, insert_source
from r1desk.chat.text.inline_renderer import InlineRenderer
from r1desk.chat.text.text_style import TextStyle

_HEADINGS = {"h1": 1.5, "h2": 1.25, "h3": 1.1}  # the others as large as text
_LINE_GAP_EM = 0.38  # between lines; a share of their height would tear formulas apart
_PROPORTIONAL = QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
_LINE_DISTANCE = QTextBlockFormat.LineHeightTypes.LineDistanceHeight.value
_FORMULA_GAP_EM = 0.5
_BELOW_FORMULA_EM = 0.8  # as far as the line above, which ends with the gap between lines
_TASK = re.compile(r"\[[ xX]\] ")
_MAX_COLUMNS = 24
_ALIGNMENTS = {
    "text-align:right": Qt.AlignmentFlag.AlignRight,
    "text-align:center": Qt.AlignmentFlag.AlignHCenter,
}
_FIXED = QTextBlockFormat.LineHeightTypes.FixedHeight.value


class MarkdownRenderer:
    """Appends blocks to one document."""

    def __init__(self, document: QTextDocument, style: TextStyle) -> None:
        self._document, self._style = document, style
        self._cursor = QTextCursor(document)
        self._fresh = True  # the current block is empty and waits to be used
        self._first = True  # nothing stands above in this document
        self._lists: list[int | None] = []  # of each open one the next number; None has bullets
        self._item_gap = 0.0  # above the next item of a list
        self._quote = 0
        self._in_item = False
        self.formulas: FormulaObjects | None = None
        if style.formulas is not None:
            self.formulas = FormulaObjects(document, style, style.formulas)
        self.inline = InlineRenderer(document, style, self.formulas)
        self._blocks: dict[str, Callable[[Token], None]] = {
            "heading_open": self._open_heading,
            "bullet_list_open": self._open_list,
            "ordered_list_open": self._open_list,
            "bullet_list_close": self._close_list,
            "ordered_list_close": self._close_list,
            "list_item_open": self._open_item,
            "blockquote_open": self._change_quote,
            "blockquote_close": self._change_quote,
            "paragraph_open": self._open_paragraph,
            "fence": self._set_code,
            "code_block": self._set_code,
            "hr": self._set_rule,
            "math_block": self._set_formula,
            "math_open": self._set_formula,
            "typed": self._set_typed,
        }

    def clear(self) -> None:
        self._document.clear()
        if self.formulas:
            self.formulas.clear()
        self._cursor = QTextCursor(self._document)
        self._fresh = self._first = True
        self._lists.clear()
        self._quote = 0
        self.inline.has_links = False

    def append(self, tokens: Sequence[Token]) -> None:
        self._cursor.beginEditBlock()
        index = 0
        self._plain = self._text_format()
        while index < len(tokens):
            token = tokens[index]
            if token.type == "table_open":
                index = self._set_table(tokens, index)
            elif token.type == "inline":
                self._set_inline(token)
            elif action := self._blocks.get(token.type):
                action(token)
            index += 1
        self._cursor.endEditBlock()

    # ---- formats

    def _text_format(self) -> QTextCharFormat:
        fmt = QTextCharFormat()
        colours = self._style.colours
        fmt.setForeground(QBrush(colours.dim if self._style.aside else colours.text))
        return fmt

    def _block_format(self, gap: float) -> QTextBlockFormat:
        fmt = QTextBlockFormat()
        em = self._style.em_px
        fmt.setLineHeight(_LINE_GAP_EM * em, _LINE_DISTANCE)
        fmt.setTopMargin(0 if self._first else gap * em)
        if self._lists:
            fmt.setIndent(len(self._lists))
        if self._quote:
            fmt.setLeftMargin(self._quote * block_marks.QUOTE_STEP_EM * em)
            fmt.setProperty(block_marks.QUOTE_LEVEL, self._quote)
        return fmt

    def _start_block(self, gap: float, fmt: QTextBlockFormat | None = None) -> None:
        fmt = fmt or self._block_format(gap)
        if self._fresh:
            self._cursor.setBlockFormat(fmt)
        else:
            self._cursor.insertBlock(fmt, self._text_format())
        self._fresh = False
        self._first = False

    # ---- blocks

    def _open_paragraph(self, token: Token) -> None:
        self._plain = self._text_format()
        if self._in_item:
            self._in_item = False  # the item's own block is already there
            return
        gap = 0.0 if token.meta.get("continued") else 0.25 if token.hidden else 0.6
        self._start_block(gap)

    def _open_heading(self, token: Token) -> None:
        if not self._in_item:
            self._start_block(gap=0.9)
        self._in_item = False
        self._plain = self._text_format()
        self._plain.setFontWeight(QFont.Weight.DemiBold)
        factor = 1.0 if self._style.aside else _HEADINGS.get(token.tag, 1.0)
        self._plain.setFontPointSize(self._style.font.pointSizeF() * factor)

    def _open_list(self, token: Token) -> None:
        ordered = token.type == "ordered_list_open"
        self._lists.append(int(token.attrGet("start") or 1) if ordered else None)
        self._item_gap = 0.5 if len(self._lists) == 1 else 0.2

    def _close_list(self, _token: Token) -> None:
        self._lists.pop()
        self._in_item = False

    def _open_item(self, _token: Token) -> None:
        number = self._lists[-1]
        fmt = self._block_format(self._item_gap)
        fmt.setProperty(block_marks.MARKER, block_marks.BULLET if number is None else f"{number}.")
        self._start_block(0, fmt)
        if number is not None:
            self._lists[-1] = number + 1
        self._item_gap = 0.2
        self._in_item = True

    def _change_quote(self, token: Token) -> None:
        self._quote += token.nesting
        self._in_item = False

    def _set_code(self, token: Token) -> None:
        fmt = self._block_format(0.6)
        fmt.setBackground(QBrush(self._style.colours.code_background))
        if not self._in_item:
            self._start_block(0, fmt)
        self._in_item = False
        source = display_text.breakable(display_text.code(token.content.removesuffix("\n")))
        char = self._text_format()
        self._style.set_mono(char)
        self._cursor.insertText(source.replace("\n", display_text.LINE), char)

    def _set_typed(self, token: Token) -> None:
        """Set typed text: its lines and blanks stay as they are."""
        self._start_block(gap=0.0)
        for child in token.children or ():
            if child.type != "text":
                self.inline.insert_formula(self._cursor, child, self._plain)
                continue
            for number, line in enumerate(child.content.split("\n")):
                if number:
                    self._start_block(gap=0.0)
                self._cursor.insertText(display_text.breakable(line), self._plain)

    def _set_formula(self, token: Token) -> None:
        """Set a formula on a line of its own."""
        fmt = self._block_format(_FORMULA_GAP_EM)
        is_open = token.type == "math_open"
        if not is_open:  # centred, what is still growing would move with each letter
            fmt.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        fmt.setLineHeight(100, _PROPORTIONAL)
        fmt.setBottomMargin(_BELOW_FORMULA_EM * self._style.em_px)
        if not self._in_item:
            self._start_block(0, fmt)
        self._in_item = False
        if self.formulas and not is_open:
            self.formulas.insert(self._cursor, token, self._text_format(), own_line=True)
        else:
            text = formula_source(token)
            insert_source(self._cursor, text, self._text_format(), self._style, joined=is_open)

    def _set_inline(self, token: Token) -> None:
        """Set what stands inside of lines; formulas that ask for it get a line of their own."""
        if self._cursor.atBlockStart() and (task := _TASK.match(token.content)):
            token = self._mark_task(token, task.group())
        for index, part in enumerate(_parted(token)):
            if part.type != "inline":
                self._set_formula(part)
                continue
            if index:
                self._start_block(_FORMULA_GAP_EM)
            self.inline.set(self._cursor, part, self._plain)

    def _mark_task(self, token: Token, box: str) -> Token:
        """Show the box of an item in place of its bullet; returns the text after it."""
        fmt = self._cursor.blockFormat()
        children = token.children or []
        first, rest = children[0], children[1:]
        if not (fmt.hasProperty(block_marks.MARKER) and first.content.startswith(box)):
            return token
        fmt.setProperty(
            block_marks.MARKER, block_marks.OPEN_TASK if box[1] == " " else block_marks.DONE_TASK
        )
        self._cursor.setBlockFormat(fmt)
        return token.copy(children=[first.copy(content=first.content[len(box) :]), *rest])

    def _set_rule(self, _token: Token) -> None:
        fmt = self._block_format(0.4)
        fmt.setLineHeight(self._style.em_px * 0.5, _FIXED)
        fmt.setProperty(block_marks.RULE, True)
        self._start_block(0, fmt)
        self._in_item = False

    def _set_table(self, tokens: Sequence[Token], start: int) -> int:
        """Set a table; one with too many columns is lines of text. Returns the index of its end."""
        end, rows = start, list[list[Token]]()
        alignments: list[Qt.AlignmentFlag] = []
        while tokens[end].type != "table_close":
            token = tokens[end]
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "th_open":
                style = str(token.attrGet("style") or "")
                alignments.append(_ALIGNMENTS.get(style, Qt.AlignmentFlag.AlignLeading))
            elif token.type == "inline":
                rows[-1].append(token)
            end += 1
        if not self._fresh:
            self._start_block(0.6)
        self._in_item = False
        columns = max(map(len, rows))
        if columns > _MAX_COLUMNS:
            fmt = self._text_format()
            fmt.setFontFamilies(self._style.mono.families())
            lines = (" | ".join(token.content for token in row) for row in rows)
            self._cursor.insertText(display_text.LINE.join(lines), fmt)
            return end
        table = self._cursor.insertTable(len(rows), columns, _table_format(self._style))
        for y, row in enumerate(rows):
            for x, token in enumerate(row):
                self._set_cell(table.cellAt(y, x), token, alignments[x], heading=y == 0)
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        self._fresh = True
        flat = QTextBlockFormat()
        flat.setLineHeight(1, _FIXED)
        self._cursor.setBlockFormat(flat)
        return end

    def _set_cell(
        self, cell: QTextTableCell, token: Token, alignment: Qt.AlignmentFlag, *, heading: bool
    ) -> None:
        fmt = self._text_format()
        if heading:
            fmt.setFontWeight(QFont.Weight.DemiBold)
            filled = QTextTableCellFormat()
            filled.setBackground(QBrush(self._style.colours.code_background))
            cell.setFormat(filled)
        cursor, block = cell.firstCursorPosition(), QTextBlockFormat()
        block.setAlignment(alignment)
        cursor.setBlockFormat(block)
        self.inline.set(cursor, token, fmt)


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


def _parted(token: Token) -> list[Token]:
    """An inline token cut at the formulas that stand in it with a line of their own."""
    parts: list[Token] = []
    children: list[Token] = []
    depth = 0
    for child in token.children or ():
        depth += child.nesting
        if depth == 0 and child.type == "math_inline" and child.meta["display"]:
            parts += [*_line_of(token, children), child]
            children = []
        else:
            children.append(child)
    return [*parts, *_line_of(token, children)] if parts else [token]


def _line_of(token: Token, children: list[Token]) -> list[Token]:
    """The part of `token` with these children, without breaks and blanks around; none if empty."""
    while children and _is_blank(children[0]):
        children = children[1:]
    while children and _is_blank(children[-1]):
        children = children[:-1]
    return [token.copy(children=children)] if children else []


def _is_blank(token: Token) -> bool:
    return token.type in {"softbreak", "hardbreak"} or (
        token.type == "text" and not token.content.strip()
    )


def wrap_at_spaces(document: QTextDocument) -> None:
    """Break lines between words only: what holds them may become wider than the document."""
    option = document.defaultTextOption()
    option.setWrapMode(option.WrapMode.WordWrap)
    document.setDefaultTextOption(option)


def plain_font(document: QTextDocument, font: QFont) -> None:
    """Set the font and the measures that go with it."""
    document.setDefaultFont(font)
    document.setDocumentMargin(0)
    document.setUndoRedoEnabled(False)
    option = document.defaultTextOption()
    option.setWrapMode(option.WrapMode.WrapAtWordBoundaryOrAnywhere)
    option.setAlignment(Qt.AlignmentFlag.AlignLeading)
    document.setDefaultTextOption(option)
