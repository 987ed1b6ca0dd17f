"""Inserts the inline content of Markdown into a document: emphasis, code, links, formulas."""

from collections.abc import Mapping
from typing import Final

from markdown_it.token import Token
from PySide6.QtGui import QBrush, QFont, QTextCharFormat, QTextCursor, QTextDocument

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.sources import citations
from r1desk.chat.formulas.markdown_math import formula_source
from r1desk.chat.text import display_text
from r1desk.chat.text.formula_objects import FormulaObjects, insert_source
from r1desk.chat.text.markdown_blocks import disguised, web_address
from r1desk.chat.text.text_style import TextStyle

SOURCE: Final = "source:"  # begins the address of a citation; Markdown cannot write such a link
_MAX_ADDRESS = 300  # characters of an address


class InlineRenderer:
    """Inserts inline tokens into one document. `has_links`: some can be followed."""

    def __init__(
        self,
        document: QTextDocument,
        style: TextStyle,
        formulas: FormulaObjects | None,
    ) -> None:
        self._document, self._style, self._formulas = document, style, formulas
        self._cursor = QTextCursor(document)
        self.has_links = False

    def set(self, cursor: QTextCursor, token: Token, plain: QTextCharFormat) -> None:
        self._cursor = cursor
        styles = [plain]
        label_from: list[tuple[str, int]] = []
        for child in token.children or ():
            kind = child.type
            fmt = styles[-1]
            if kind == "text" and self._style.sources is not None and not label_from:
                self._insert_cited(child.content, fmt, self._style.sources)
            elif kind in {"text", "text_special"}:
                self._insert(child.content, fmt)
            elif kind in {"softbreak", "hardbreak"}:
                self._cursor.insertText(display_text.LINE, fmt)
            elif kind == "code_inline":
                self._cursor.insertText(
                    display_text.breakable(display_text.code(child.content)), self._code(fmt)
                )
            elif kind in {"math_inline", "math_open"}:
                self.insert_formula(cursor, child, fmt)
            elif kind == "image":
                self._insert_blocked(child, fmt)
            elif kind == "link_open":
                styles.append(self._link(fmt, str(child.attrGet("href") or "")))
                label_from.append((str(child.attrGet("href") or ""), self._cursor.position()))
            elif kind == "link_close" and label_from:
                styles.pop()
                self._append_address(*label_from.pop(), styles[-1])
            elif kind.endswith("_open"):
                styles.append(_styled(fmt, kind))
            elif kind.endswith("_close") and len(styles) > 1:
                styles.pop()

    def _insert(self, content: str, fmt: QTextCharFormat) -> None:
        self._cursor.insertText(
            display_text.breakable(content).replace("\n", display_text.LINE), fmt
        )

    def _insert_cited(self, content: str, fmt: QTextCharFormat, sources: Mapping[int, str]) -> None:
        """Insert text in which "[1]" leads to a source; a number that was not sent stays text."""
        done = 0
        for start, end, number in citations(content):
            self._insert(content[done:start], fmt)
            done, shown = end, QTextCharFormat(fmt)
            if number in sources:
                self.has_links = True
                shown.setAnchor(True)
                shown.setAnchorHref(f"{SOURCE}{number}")
                shown.setToolTip(display_text.plain_tooltip(sources[number]))
                shown.setForeground(QBrush(self._style.colours.link))
            else:
                shown.setToolTip(tr("There is no passage {n}.", n=number))
                shown.setForeground(QBrush(self._style.colours.dim))
                shown.setUnderlineStyle(QTextCharFormat.UnderlineStyle.DotLine)
            self._insert(content[start:end], shown)
        self._insert(content[done:], fmt)

    def _code(self, fmt: QTextCharFormat) -> QTextCharFormat:
        code = QTextCharFormat(fmt)
        self._style.set_mono(code)
        code.setBackground(QBrush(self._style.colours.inline_background))
        return code

    def insert_formula(self, cursor: QTextCursor, token: Token, fmt: QTextCharFormat) -> None:
        """Insert a formula inside of a line: as an object, or its source while it is unfinished."""
        if self._formulas and token.type == "math_inline":
            self._formulas.insert(cursor, token, fmt)
        else:
            joined = token.type == "math_open"
            insert_source(cursor, formula_source(token), fmt, self._style, joined=joined)

    def _insert_blocked(self, token: Token, fmt: QTextCharFormat) -> None:
        note = QTextCharFormat(fmt)
        note.setForeground(QBrush(self._style.colours.dim))
        note.setFontItalic(True)
        alt = token.content.strip()
        self._insert(
            tr("[image not loaded: {alt}]", alt=alt) if alt else tr("[image not loaded]"), note
        )

    def _link(self, fmt: QTextCharFormat, href: str) -> QTextCharFormat:
        address = web_address(href)
        link = QTextCharFormat(fmt)
        if address:
            self.has_links = True
            link.setAnchor(True)
            link.setAnchorHref(address)
            link.setToolTip(address)
            link.setForeground(QBrush(self._style.colours.link))
            link.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        return link

    def _append_address(self, href: str, start: int, fmt: QTextCharFormat) -> None:
        """Append the address of a link whose text hides it, or that cannot be followed."""
        label = QTextCursor(self._document)
        label.setPosition(start)
        label.setPosition(self._cursor.position(), QTextCursor.MoveMode.KeepAnchor)
        shown = display_text.unbroken(label.selectedText())
        address: str | None = disguised(shown, href) if web_address(href) else href
        if address and address != shown:
            address = address if len(address) <= _MAX_ADDRESS else f"{address[:_MAX_ADDRESS]}…"
            note = QTextCharFormat(fmt)
            note.setForeground(QBrush(self._style.colours.dim))
            self._insert(f" ({display_text.code(address)})", note)


def _styled(fmt: QTextCharFormat, kind: str) -> QTextCharFormat:
    result = QTextCharFormat(fmt)
    if kind == "strong_open":
        result.setFontWeight(QFont.Weight.Bold)
    elif kind == "em_open":
        result.setFontItalic(True)
    elif kind == "s_open":
        result.setFontStrikeOut(True)
    return result
