"""What stands inside of a line: emphasis, code, links; pictures become words."""

from __future__ import annotations

from markdown_it.token import Token
from PySide6.QtGui import (
    QBrush,
    QFont,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)

from deepseek_r1.core.words import tr
from r1desk.chat import text as fit
from r1desk.chat.fonts import mono
from r1desk.chat.ink import Ink
from r1desk.chat.links import disguised, web_address

_MAX_TOLD = 300  # characters of an address


class InlineSetter:
    """Inserts inline tokens into one document. `has_links` tells whether any can be followed."""

    def __init__(self, document: QTextDocument, ink: Ink) -> None:
        self._document = document
        self._ink = ink
        self._cursor = QTextCursor(document)
        self.has_links = False

    def set(
        self, cursor: QTextCursor, token: Token, plain: QTextCharFormat, *, in_list: bool
    ) -> None:
        """Insert the children of an inline token at `cursor`."""
        self._cursor = cursor
        styles = [plain]
        children = list(token.children or ())
        if in_list:
            self._take_task_mark(children)
        label_from: list[tuple[str, int]] = []
        for child in children:
            kind = child.type
            fmt = styles[-1]
            if kind in {"text", "text_special"}:
                self._insert(child.content, fmt)
            elif kind in {"softbreak", "hardbreak"}:
                self._cursor.insertText(fit.LINE, fmt)
            elif kind == "code_inline":
                self._cursor.insertText(fit.breakable(fit.code(child.content)), self._code(fmt))
            elif kind == "image":
                self._insert_blocked(child, fmt)
            elif kind == "link_open":
                styles.append(self._link(fmt, str(child.attrGet("href") or "")))
                label_from.append((str(child.attrGet("href") or ""), self._cursor.position()))
            elif kind == "link_close" and label_from:
                styles.pop()
                self._tell_address(*label_from.pop(), styles[-1])
            elif kind.endswith("_open"):
                styles.append(_styled(fmt, kind))
            elif kind.endswith("_close") and len(styles) > 1:
                styles.pop()

    def _insert(self, content: str, fmt: QTextCharFormat) -> None:
        self._cursor.insertText(fit.breakable(content).replace("\n", fit.LINE), fmt)

    def _code(self, fmt: QTextCharFormat) -> QTextCharFormat:
        code = QTextCharFormat(fmt)
        set_mono(code, self._ink.font)
        code.setBackground(QBrush(self._ink.colours.inline_background))
        return code

    def _insert_blocked(self, token: Token, fmt: QTextCharFormat) -> None:
        note = QTextCharFormat(fmt)
        note.setForeground(QBrush(self._ink.colours.dim))
        note.setFontItalic(True)
        alt = token.content.strip()
        self._insert(tr("[image blocked: {alt}]", alt=alt) if alt else tr("[image blocked]"), note)

    def _link(self, fmt: QTextCharFormat, href: str) -> QTextCharFormat:
        address = web_address(href)
        link = QTextCharFormat(fmt)
        if address:
            self.has_links = True
            link.setAnchor(True)
            link.setAnchorHref(address)
            link.setToolTip(address)
            link.setForeground(QBrush(self._ink.colours.link))
            link.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        return link

    def _tell_address(self, href: str, start: int, fmt: QTextCharFormat) -> None:
        """Say where a link leads when its text hides that or it cannot be followed."""
        label = QTextCursor(self._document)
        label.setPosition(start)
        label.setPosition(self._cursor.position(), QTextCursor.MoveMode.KeepAnchor)
        shown = fit.unbroken(label.selectedText())
        told: str | None = disguised(shown, href) if web_address(href) else href
        if told and told != shown:
            told = told if len(told) <= _MAX_TOLD else f"{told[:_MAX_TOLD]}…"
            note = QTextCharFormat(fmt)
            note.setForeground(QBrush(self._ink.colours.dim))
            self._insert(f" ({fit.code(told)})", note)

    def _take_task_mark(self, children: list[Token]) -> None:
        """Turn a leading "[ ]" or "[x]" of a list item into a box."""
        if not (children and children[0].type == "text"):
            return
        mark = children[0].content[:4]
        if mark not in {"[ ] ", "[x] ", "[X] "}:
            return
        fmt = self._cursor.blockFormat()
        ticked = mark != "[ ] "
        fmt.setMarker(
            QTextBlockFormat.MarkerType.Checked if ticked else QTextBlockFormat.MarkerType.Unchecked
        )
        self._cursor.setBlockFormat(fmt)
        rest = children[0].copy()
        rest.content = rest.content[4:]
        children[0] = rest


def set_mono(fmt: QTextCharFormat, font: QFont) -> None:
    """Give `fmt` the code font that goes with `font`."""
    code = mono(font)
    fmt.setFontFamilies(code.families())
    fmt.setFontPointSize(code.pointSizeF())


def _styled(fmt: QTextCharFormat, kind: str) -> QTextCharFormat:
    result = QTextCharFormat(fmt)
    if kind == "strong_open":
        result.setFontWeight(QFont.Weight.Bold)
    elif kind == "em_open":
        result.setFontItalic(True)
    elif kind == "s_open":
        result.setFontStrikeOut(True)
    return result
