"""Markdown tokens set into a QTextDocument, without HTML in between.

Only what is named here can appear in the document: text, emphasis, lists, quotes, tables, rules
and http(s) links. Nothing that loads anything exists in it.
"""

from __future__ import annotations

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
    QTextFormat,
    QTextList,
    QTextListFormat,
    QTextTable,
)

from r1desk.chat import text as fit
from r1desk.chat.fonts import points
from r1desk.chat.ink import Ink
from r1desk.chat.inline import InlineSetter, set_mono
from r1desk.chat.tables import insert_table

QUOTE_LEVEL = QTextFormat.Property.UserProperty.value + 1
RULE = QTextFormat.Property.UserProperty.value + 2
_HEADINGS = {"h1": 1.4, "h2": 1.25, "h3": 1.12, "h4": 1.0, "h5": 1.0, "h6": 1.0}
QUOTE_STEP_EM = 0.95
_LINE_HEIGHT = 138.0  # percent
_PROPORTIONAL = QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
_FIXED = QTextBlockFormat.LineHeightTypes.FixedHeight.value


class Typesetter:
    """Appends blocks to one document."""

    def __init__(self, document: QTextDocument, ink: Ink) -> None:
        self._document = document
        self._ink = ink
        self._cursor = QTextCursor(document)
        self._fresh = True  # the current block is empty and waits to be used
        self._first = True  # nothing stands above in this document
        self._lists: list[tuple[QTextListFormat, QTextList | None]] = []
        self._quote = 0
        self._in_item = False
        self._inline = InlineSetter(document, ink)
        self._blocks: dict[str, Callable[[Token], None]] = {
            "heading_open": self._open_heading,
            "bullet_list_open": self._open_list,
            "ordered_list_open": self._open_list,
            "bullet_list_close": self._close_list,
            "ordered_list_close": self._close_list,
            "list_item_open": self._open_item,
            "blockquote_open": self._open_quote,
            "blockquote_close": self._close_quote,
            "paragraph_open": self._open_paragraph,
            "fence": self._set_code,
            "code_block": self._set_code,
            "hr": self._set_rule,
        }

    @property
    def has_links(self) -> bool:
        """True when there is something to follow."""
        return self._inline.has_links

    def clear(self) -> None:
        """Empty the document."""
        self._document.clear()
        self._cursor = QTextCursor(self._document)
        self._fresh = self._first = True
        self._lists.clear()
        self._quote = 0
        self._inline.has_links = False

    def append(self, tokens: Sequence[Token]) -> None:
        """Set one or more top-level blocks."""
        self._cursor.beginEditBlock()
        index = 0
        self._plain = self._text_format()
        while index < len(tokens):
            token = tokens[index]
            if token.type == "table_open":
                index = self._set_table(tokens, index)
            elif token.type == "inline":
                self._inline.set(self._cursor, token, self._plain, in_list=bool(self._lists))
            elif action := self._blocks.get(token.type):
                action(token)
            index += 1
        self._cursor.endEditBlock()

    def append_plain(self, text: str) -> None:
        """Set `text` as it is, lines and spaces included."""
        self._cursor.beginEditBlock()
        for line in fit.breakable(fit.prose(fit.newlines(text))).split("\n"):
            self._start_block(gap=0.0)
            self._cursor.insertText(line, self._text_format())
        self._cursor.endEditBlock()

    # ---- formats

    def _text_format(self) -> QTextCharFormat:
        fmt = QTextCharFormat()
        colours = self._ink.colours
        fmt.setForeground(QBrush(colours.dim if self._ink.aside else colours.text))
        return fmt

    def _block_format(self, gap: float) -> QTextBlockFormat:
        fmt = QTextBlockFormat()
        em = self._ink.em_px
        fmt.setLineHeight(_LINE_HEIGHT, _PROPORTIONAL)
        fmt.setTopMargin(0 if self._first else gap * em)
        if self._lists:
            fmt.setIndent(len(self._lists))
        if self._quote:
            fmt.setLeftMargin(self._quote * QUOTE_STEP_EM * em)
            fmt.setProperty(QUOTE_LEVEL, self._quote)
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
        self._start_block(gap=0.25 if token.hidden else 0.6)

    def _open_heading(self, token: Token) -> None:
        if not self._in_item:
            self._start_block(gap=0.9)
        self._in_item = False
        self._plain = self._text_format()
        self._plain.setFontWeight(QFont.Weight.DemiBold)
        size = points(self._ink.font)
        self._plain.setFontPointSize(size * (1.0 if self._ink.aside else _HEADINGS[token.tag]))

    def _open_list(self, token: Token) -> None:
        fmt = QTextListFormat()
        fmt.setIndent(len(self._lists) + 1)
        if token.type == "ordered_list_open":
            fmt.setStyle(QTextListFormat.Style.ListDecimal)
            fmt.setStart(min(int(token.attrGet("start") or 1), 999_999_999))
        else:
            fmt.setStyle(QTextListFormat.Style.ListDisc)
        self._lists.append((fmt, None))

    def _close_list(self, _token: Token) -> None:
        self._lists.pop()
        self._in_item = False

    def _open_item(self, _token: Token) -> None:
        fmt, made = self._lists[-1]
        first = made is None and len(self._lists) == 1
        block = self._block_format(0.5 if first else 0.2)
        block.setIndent(0)  # the list's own indent counts
        self._start_block(0, block)
        if made is None:
            self._lists[-1] = (fmt, self._cursor.createList(fmt))
        else:
            made.add(self._cursor.block())
        self._in_item = True

    def _open_quote(self, _token: Token) -> None:
        self._quote += 1
        self._in_item = False

    def _close_quote(self, _token: Token) -> None:
        self._quote -= 1

    def _set_code(self, token: Token) -> None:
        fmt = self._block_format(0.6)
        fmt.setBackground(QBrush(self._ink.colours.code_background))
        if not self._in_item:
            self._start_block(0, fmt)
        self._in_item = False
        source = fit.breakable(fit.code(token.content.removesuffix("\n")))
        char = self._text_format()
        set_mono(char, self._ink.font)
        self._cursor.insertText(source.replace("\n", fit.LINE), char)

    def _set_rule(self, _token: Token) -> None:
        fmt = self._block_format(0.4)
        fmt.setLineHeight(self._ink.em_px * 0.5, _FIXED)
        fmt.setProperty(RULE, True)
        self._start_block(0, fmt)
        self._in_item = False

    def _set_table(self, tokens: Sequence[Token], start: int) -> int:
        end = start
        while tokens[end].type != "table_close":
            end += 1
        if not self._fresh:
            self._start_block(0.6)
            self._cursor.block()
        made = insert_table(self._cursor, tokens[start : end + 1], self._ink, self._set_cell)
        if isinstance(made, QTextTable):
            self._cursor.movePosition(QTextCursor.MoveOperation.End)
            self._fresh = True
            self._shrink_trailing_block()
        self._in_item = False
        return end

    def _shrink_trailing_block(self) -> None:
        fmt = QTextBlockFormat()
        fmt.setLineHeight(1, _FIXED)
        self._cursor.setBlockFormat(fmt)

    def _set_cell(self, cursor: QTextCursor, token: Token, heading: bool) -> None:
        fmt = self._text_format()
        if heading:
            fmt.setFontWeight(QFont.Weight.DemiBold)
        self._inline.set(cursor, token, fmt, in_list=False)


def plain_font(document: QTextDocument, font: QFont) -> None:
    """Set the font and the measures that go with it."""
    document.setDefaultFont(font)
    document.setDocumentMargin(0)
    document.setUndoRedoEnabled(False)
    option = document.defaultTextOption()
    option.setWrapMode(option.WrapMode.WrapAtWordBoundaryOrAnywhere)
    option.setAlignment(Qt.AlignmentFlag.AlignLeading)
    document.setDefaultTextOption(option)
