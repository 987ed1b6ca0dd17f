"""A piece of running text that can be selected but loads and opens nothing."""

import math
from collections.abc import Sequence

from markdown_it.token import Token
from PySide6.QtCore import QMimeData, QRectF, Qt, QUrl, Signal, Slot
from PySide6.QtGui import (
    QAccessible,
    QImage,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextCursor,
    QTextDocument,
    QTextFragment,
    QTextTable,
)
from PySide6.QtWidgets import QTextBrowser, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text
from r1desk.chat.text.block_marks import marker_source, paint_marks
from r1desk.chat.text.formula_objects import FORMULA_OBJECT, FormulaObjects, source_of
from r1desk.chat.text.markdown_renderer import MarkdownRenderer, plain_font, wrap_at_spaces
from r1desk.chat.text.message_selection import MessageTextBox
from r1desk.chat.text.text_style import TextStyle

_BLOCK_CHARS = 40
_FIRST_WIDTH = 720


class ProseView(MessageTextBox, QTextBrowser):
    """Text set by a `MarkdownRenderer`, exactly as high as it needs to be.

    One that `scrolls` keeps words whole and scrolls sideways where they do not fit: for tables.
    """

    link_chosen = Signal(str)  # an http(s) address was clicked or chosen by keyboard
    formulas_changed = Signal()  # formulas took the place of their sources; the height may differ
    lead_em = 0.6  # the space above

    def __init__(
        self, style: TextStyle, parent: QWidget | None = None, *, scrolls: bool = False
    ) -> None:
        super().__init__(parent)
        self.scrolls = scrolls
        self.look_like_text()
        self.setLineWrapMode(QTextBrowser.LineWrapMode.FixedPixelWidth)
        self.setOpenLinks(False)
        self.setAccessibleName(tr("Text"))
        self.anchorClicked.connect(self._on_anchor_clicked)
        self._style = style
        # Never zero before the first layout: each character would become a line of its own.
        self._width = _FIRST_WIDTH
        self.setLineWrapColumnOrWidth(_FIRST_WIDTH)
        plain_font(self.document(), style.font)
        self.document().setIndentWidth(style.em_px * 1.45)
        if scrolls:
            wrap_at_spaces(self.document())
        self._renderer = MarkdownRenderer(self.document(), style)
        if self._renderer.formulas:
            self._renderer.formulas.changed.connect(self._on_formulas_changed)

    @property
    def filled(self) -> int:
        """The amount of text: characters, with a line's worth added for each block."""
        return self.document().characterCount() + _BLOCK_CHARS * self.document().blockCount()

    def append_tokens(self, tokens: Sequence[Token]) -> None:
        self._renderer.append(tokens)
        if self.scrolls:  # the text pushed the cursor on, and the first show scrolls to it
            self.setTextCursor(QTextCursor(self.document()))
        self._set_focus_policy()

    def replace_tokens(self, tokens: Sequence[Token]) -> None:
        self._renderer.clear()
        self.append_tokens(tokens)

    def _set_focus_policy(self) -> None:
        # Reachable with Tab only where there is something to do.
        links = self._renderer.inline.has_links
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if links else Qt.FocusPolicy.ClickFocus)
        self._describe()

    @Slot()
    def _on_formulas_changed(self) -> None:
        self._describe()
        self.formulas_changed.emit()

    def _describe(self) -> None:
        """Give screen readers the text with its formulas in words."""
        formulas = self._renderer.formulas
        if formulas and formulas.drawn and QAccessible.isActive():
            self.setAccessibleDescription(self.accessible_text())

    def fit_width(self, width: int) -> int:
        if width != self._width:
            self._width = width
            self.setLineWrapColumnOrWidth(width)
        size = self.document().size()
        height = math.ceil(size.height())
        if self.scrolls and size.width() > width + 1:
            height += self.horizontalScrollBar().sizeHint().height()
        self.resize(width, height)
        return height

    def accessible_text(self) -> str:
        """The drawn text with formulas in words, for screen readers."""
        formulas = self._renderer.formulas
        return document_text(self.document(), formulas)

    def ideal_width(self) -> int:
        """The width of the longest line when nothing is wrapped beyond what is set now."""
        return math.ceil(self.document().idealWidth())

    # ---- what Qt asks

    def loadResource(self, _kind: int, _name: QUrl | str) -> QImage:
        """Never load anything: an empty picture also stops Qt from opening the path itself."""
        image = QImage(1, 1, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        return image

    def createMimeDataFromSelection(self) -> QMimeData:
        """The selected characters as plain text, formulas as their LaTeX."""
        cursor = self.textCursor()
        data = QMimeData()
        start, end = cursor.selectionStart(), cursor.selectionEnd()
        data.setText(document_text(self.document(), start=start, end=end))
        return data

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        paint_marks(painter, self.document(), self.width(), self._style, QRectF(event.rect()))
        painter.end()
        super().paintEvent(event)

    def _on_anchor_clicked(self, url: QUrl) -> None:
        self.link_chosen.emit(url.toString(QUrl.ComponentFormattingOption.FullyEncoded))


def document_text(
    document: QTextDocument,
    formulas: FormulaObjects | None = None,
    start: int = 0,
    end: int | None = None,
) -> str:
    """The text between two positions, to the end by default.

    Formulas are LaTeX, or words with `formulas`; cells of tables are parted by tabs. Qt's
    own plain text has U+FFFC for a formula, U+FDD0 and U+FDD1 around tables, and no list numbers.
    """
    end = document.characterCount() - 1 if end is None else end
    pieces: list[str] = []
    previous: QTextBlock | None = None
    block = document.findBlock(start)
    while block.isValid() and block.position() <= end:
        if _is_edge_of_table(block):
            block = block.next()
            continue
        text = _block_text(block, formulas, start, end)
        if previous is not None:
            pieces.append(_separator(previous, block))
        if start <= block.position():
            pieces.append(marker_source(block))
        pieces.append(text)
        previous = block
        block = block.next()
    return display_text.unbroken("".join(pieces))


def _block_text(block: QTextBlock, formulas: FormulaObjects | None, start: int, end: int) -> str:
    pieces = []
    iterator = block.begin()
    while not iterator.atEnd():
        fragment = iterator.fragment()
        low = max(start, fragment.position())
        high = min(end, fragment.position() + fragment.length())
        if low < high:
            fmt = fragment.charFormat()
            if fmt.objectType() == FORMULA_OBJECT:
                text = formulas.speech_of(fmt) if formulas else source_of(fmt)
                pieces.append(text * (high - low))
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
