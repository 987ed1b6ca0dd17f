"""Conversations on the pages of a PDF file, with the chat's own typesetting."""

from collections.abc import Callable

import shiboken6
from PySide6.QtCore import QBuffer, QLocale, QMarginsF, QRectF, Qt
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QBrush,
    QColor,
    QFont,
    QGuiApplication,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)

from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.text import display_text
from r1desk.chat.text.block_marks import paint_marks
from r1desk.chat.text.block_splitter import MarkdownBlock, typed_token
from r1desk.chat.text.highlight import code_runs
from r1desk.chat.text.markdown_renderer import MarkdownRenderer, plain_font
from r1desk.chat.text.text_style import TextStyle, colours_of
from r1desk.theme.fonts import scaled
from r1desk.theme.tokens import LIGHT

PDF_SUFFIX = ".pdf"
_TEXT_PT = 10.5
_MARGIN_MM = 20.0
_PIECE = 4_000  # characters of plain text that are laid out at once
_KEEP_EM = 5.0  # a heading with less space than this below it goes to the next page


class PdfWriter:
    """Draws the parts of one document, which are those of `HtmlWriter`; `close`, then `document`.

    All calls come from the thread that made it. It calls `pause` after each short step: Qt holds
    the interpreter while it lays out text, and the window needs it.
    """

    def __init__(self, formulas: FormulaService, pause: Callable[[], None], title: str) -> None:
        self._pause = pause
        self._buffer = QBuffer()
        self._buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        self._pdf = QPdfWriter(self._buffer)
        self._pdf.setTitle(display_text.prose(title))
        self._pdf.setCreator("R1 Desk")
        # The resolution of the screen: sizes in points then have the pixels that the chat measures.
        self._pdf.setResolution(round(QGuiApplication.primaryScreen().logicalDotsPerInch()))
        metric = QLocale().measurementSystem() is QLocale.MeasurementSystem.MetricSystem
        size = QPageSize.PageSizeId.A4 if metric else QPageSize.PageSizeId.Letter
        margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
        self._pdf.setPageLayout(
            QPageLayout(
                QPageSize(size),
                QPageLayout.Orientation.Portrait,
                margins,
                QPageLayout.Unit.Millimeter,
            )
        )
        font = QFont(QGuiApplication.font())
        font.setPointSizeF(_TEXT_PT)
        font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
        self._style = TextStyle.of(font, formulas, colours_of(LIGHT))
        self._aside = self._style.as_aside()
        self._current = self._style
        self._painter = QPainter(self._pdf)
        self._undrawn: list[QTextDocument] = []
        self._width = float(self._pdf.width())
        self._y, self._page = 0.0, 1
        self._conversations = 0

    @property
    def _bottom(self) -> float:
        return self._pdf.height() - 2 * self._style.em_px

    def begin_conversation(self, title: str) -> None:
        """Begin a conversation on a page of its own."""
        if self._conversations:
            self._new_page()
        self._conversations += 1
        self._add_line(title, 1.5, self._style.colours.text, bold=True)

    def add_author(self, name: str) -> None:
        self._y += 1.2 * self._style.em_px
        self._add_heading(name, bold=True)

    def add_attachment(self, label: str, content: str) -> None:
        self._add_heading(label)
        for piece in display_text.paragraph_slices(content, _PIECE):
            document = self._code_document([(piece.removesuffix("\n"), "")])
            self._place(document, self._style.colours.code_background)

    def add_question(self, content: str) -> None:
        for piece in display_text.paragraph_slices(content, _PIECE):
            document = self._document(self._style)
            text = display_text.prose(display_text.newlines(piece.removesuffix("\n")))
            MarkdownRenderer(document, self._style).append([typed_token(text)])
            self._place(document, self._style.colours.bubble)

    def begin_thinking(self, label: str) -> None:
        self._current = self._aside
        self._add_heading(label)

    def end_thinking(self) -> None:
        self._current = self._style
        self._y += 0.8 * self._style.em_px

    def add_block(self, block: MarkdownBlock) -> None:
        if block.is_code:
            runs = code_runs(block.code, block.language, self._pause)
            gap = 0.0 if block.continued else 0.6
            background = self._style.colours.code_background
            self._place(self._code_document(runs), background, gap)
            return
        document = self._document(self._current)
        MarkdownRenderer(document, self._current).append(block.tokens)
        self._pause()
        self._place(document, gap=0.0 if block.is_continued_text else 0.6)

    def close(self) -> None:
        """Finish the last page."""
        self._draw_page_number()
        # Of an export that was cancelled. The collector would delete it in another thread, with
        # engines of fonts that end with this one.
        while self._undrawn:
            shiboken6.delete(self._undrawn.pop())
        # What `end` does, but other threads go on: `end` keeps the interpreter from them until all
        # fonts are written, the destructor does not. `shiboken6.delete` would free its address
        # before it is forgotten as the painter's: another thread may have it again by then.
        del self._painter
        self._buffer.close()

    def document(self) -> bytes:
        return bytes(self._buffer.data().data())

    # ---- documents

    def _document(self, style: TextStyle) -> QTextDocument:
        document = QTextDocument()
        self._undrawn.append(document)
        document.setUseDesignMetrics(True)
        plain_font(document, style.font)
        document.setIndentWidth(style.em_px * 1.45)
        return document

    def _code_document(self, runs: list[tuple[str, str]]) -> QTextDocument:
        document = self._document(self._style)
        document.setDefaultFont(scaled(self._style.mono, 0.9))
        cursor = QTextCursor(document)
        for text, field in runs:
            fmt = QTextCharFormat()
            fmt.setForeground(QBrush(getattr(self._style.colours, field or "code_text")))
            cursor.insertText(display_text.breakable(display_text.code(text)), fmt)
        return document

    def _add_heading(self, text: str, *, bold: bool = False) -> None:
        if self._bottom - self._y < _KEEP_EM * self._style.em_px:
            self._new_page()
        self._add_line(text, 0.9, self._style.colours.dim, bold=bold)

    def _add_line(self, text: str, size: float, colour: QColor, *, bold: bool = False) -> None:
        document = self._document(self._style)
        font = scaled(self._style.font, size)
        font.setBold(bold)
        document.setDefaultFont(font)
        fmt = QTextCharFormat()
        fmt.setForeground(QBrush(colour))
        QTextCursor(document).insertText(display_text.prose(text), fmt)
        self._place(document, gap=0.0)
        self._y += 0.3 * self._style.em_px

    # ---- pages

    def _new_page(self) -> None:
        self._draw_page_number()
        self._pdf.newPage()
        self._y = 0.0
        self._page += 1

    def _draw_page_number(self) -> None:
        self._painter.setFont(scaled(self._style.font, 0.85))
        self._painter.setPen(self._style.colours.dim)
        line = QRectF(0, self._bottom, self._width, 2 * self._style.em_px)
        self._painter.drawText(
            line, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom, f"{self._page}"
        )

    def _place(
        self, document: QTextDocument, background: QColor | None = None, gap: float = 0.0
    ) -> None:
        """Draw a document here and on the following pages, on a background if one is given.

        The document is deleted then.
        """
        pad = 0.6 * self._style.em_px if background is not None else 0.0
        document.setTextWidth(self._width - 2 * pad)
        scale = min(1.0, (self._width - 2 * pad) / max(1.0, document.size().width()))
        self._pause()
        if self._y:
            self._y += gap * self._style.em_px
        start, height = 0.0, document.size().height()
        if background is not None:
            height -= _line_gap(document)
        while start < height:
            free = (self._bottom - self._y - 2 * pad) / scale
            end = min(height, _part_end(document, start, free, is_whole_page=not self._y))
            if end <= start:
                self._new_page()
                continue
            self._draw(document, (start, end), scale, pad, background)
            self._y += (end - start) * scale + 2 * pad
            start = end
            if start < height:
                self._new_page()
            self._pause()
        self._undrawn.remove(document)
        shiboken6.delete(document)  # here and now, as in `close`

    def _draw(
        self,
        document: QTextDocument,
        part: tuple[float, float],
        scale: float,
        pad: float,
        background: QColor | None,
    ) -> None:
        start, end = part
        painter = self._painter
        if background is not None:
            height = (end - start) * scale + 2 * pad
            painter.fillRect(QRectF(0, self._y, self._width, height), background)
        painter.save()
        painter.translate(pad, self._y + pad)
        painter.scale(scale, scale)
        painter.translate(0, -start)
        clip = QRectF(-pad, start, self._width / scale, end - start)
        painter.setClipRect(clip)
        paint_marks(painter, document, self._width, self._current, clip)
        context = QAbstractTextDocumentLayout.PaintContext()
        context.clip = clip
        document.documentLayout().draw(painter, context)
        painter.restore()


def _line_gap(document: QTextDocument) -> float:
    """The space below the last line that only lines after it need."""
    fmt = document.lastBlock().blockFormat()
    is_distance = fmt.lineHeightType() == QTextBlockFormat.LineHeightTypes.LineDistanceHeight.value
    return fmt.lineHeight() if is_distance else 0.0


def _part_end(document: QTextDocument, start: float, free: float, *, is_whole_page: bool) -> float:
    """The end of the part from `start` that fits into `free` pixels of height.

    `start` itself where no line fits. A line higher than a whole page is cut.
    """
    height = document.size().height()
    if height - start <= free:
        return height
    end = start
    for top, bottom in _line_rows(document):
        if bottom > start + free:
            end = top
            break
    if end > start:
        return end
    return start + free if is_whole_page else start


def _line_rows(document: QTextDocument) -> list[tuple[float, float]]:
    """Upper and lower edge of each row of lines that stand beside each other."""
    lines: list[tuple[float, float]] = []
    block = document.begin()
    while block.isValid():
        top = document.documentLayout().blockBoundingRect(block).top()
        text = block.layout()
        found = (text.lineAt(number) for number in range(text.lineCount()))
        lines += [(top + line.y(), top + line.y() + line.height()) for line in found]
        block = block.next()
    rows: list[tuple[float, float]] = []
    for top, bottom in sorted(lines):
        if rows and top < rows[-1][1] - 0.5:
            rows[-1] = (rows[-1][0], max(rows[-1][1], bottom))
        else:
            rows.append((top, bottom))
    return rows
