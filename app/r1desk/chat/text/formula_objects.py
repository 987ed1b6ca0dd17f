"""Formulas inside a QTextDocument: as objects once they are set, as their source before."""

from typing import Final, NamedTuple

from markdown_it.token import Token
from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF, Signal, Slot
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontInfo,
    QFontMetricsF,
    QPainter,
    QPyTextObject,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
)

from r1desk.chat.formulas import FormulaKey
from r1desk.chat.formulas.formula_layout import UNITS, FormulaLayout
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.formulas.markdown_math import formula_key, formula_source
from r1desk.chat.text import display_text
from r1desk.chat.text.text_style import TextStyle

FORMULA_OBJECT: Final = QTextFormat.ObjectTypes.UserObject.value + 1  # type of its format
FORMULA_SOURCE: Final = QTextFormat.Property.UserProperty.value + 5  # delimiters included
FORMULA_INDEX: Final = QTextFormat.Property.UserProperty.value + 3
WAITING_NUMBER: Final = QTextFormat.Property.UserProperty.value + 4
_X_HEIGHT_OF_FONT: Final = 0.474  # of STIX Two Math, in em
_SCALES: Final = (0.96, 1.18)  # of the formula's em beside the text's


class SetFormula(NamedTuple):
    """A formula that stands in the document as one object."""

    layout: FormulaLayout
    em_px: float
    colour: QColor
    font: QFont  # of the text around it
    x_height: float  # of it, in pixels
    text_descent: float
    own_line: bool


class _Formula(NamedTuple):
    """A formula of the source, and how the text around it looks."""

    key: FormulaKey
    text: str
    fmt: QTextCharFormat
    own_line: bool  # nothing else stands in its paragraph


class FormulaObjects(QPyTextObject):
    """Puts formulas into one document and draws them."""

    changed = Signal()  # sources gave way to formulas; the height may differ

    def __init__(self, document: QTextDocument, style: TextStyle, service: FormulaService) -> None:
        super().__init__(document)
        self._document, self._style, self._service = document, style, service
        self.drawn: list[SetFormula] = []
        # Those not known yet, by the number that marks their sources in the document.
        self._waiting: dict[int, _Formula] = {}
        self._number = 0
        document.documentLayout().registerHandler(FORMULA_OBJECT, self)
        service.settled.connect(self._on_settled)

    def clear(self) -> None:
        self.drawn.clear()
        self._waiting.clear()

    def insert(
        self, cursor: QTextCursor, token: Token, fmt: QTextCharFormat, *, own_line: bool = False
    ) -> None:
        """Insert a formula at `cursor`: its object where the layout is known, else its source."""
        key, text = formula_key(token), formula_source(token)
        formula = _Formula(key, text, QTextCharFormat(fmt), own_line)
        layout = self._service.layout(key)
        if layout or self._service.is_settled(key):
            self._insert_settled(cursor, formula, layout)
            return
        self._number += 1
        self._waiting[self._number] = formula
        marked = QTextCharFormat(fmt)
        marked.setProperty(WAITING_NUMBER, self._number)
        insert_source(cursor, text, marked, self._style, joined=True)
        self._service.request(key)

    def speech_of(self, fmt: QTextCharFormat) -> str:
        """The formula that `fmt` belongs to in words, for screen readers."""
        return self.drawn[fmt.intProperty(FORMULA_INDEX)].layout.speech or source_of(fmt)

    # ---- waiting for the service

    @Slot(object)
    def _on_settled(self, keys: frozenset[FormulaKey]) -> None:
        ready = {number for number, waiting in self._waiting.items() if waiting.key in keys}
        if not ready:
            return
        cursor = QTextCursor(self._document)
        cursor.beginEditBlock()
        for number, start, end in reversed(self._marked_places()):
            if number not in ready:
                continue
            cursor.setPosition(start)
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            cursor.removeSelectedText()
            formula = self._waiting.pop(number)
            self._insert_settled(cursor, formula, self._service.layout(formula.key))
        cursor.endEditBlock()
        self.changed.emit()

    def _marked_places(self) -> list[tuple[int, int, int]]:
        """Number, start and end of each source that waits, in the order of the document."""
        places: list[tuple[int, int, int]] = []
        block = self._document.begin()
        while block.isValid():
            iterator = block.begin()
            while not iterator.atEnd():
                fragment = iterator.fragment()
                number = fragment.charFormat().intProperty(WAITING_NUMBER)
                start, end = fragment.position(), fragment.position() + fragment.length()
                if number and places and places[-1][0] == number and places[-1][2] == start:
                    places[-1] = (number, places[-1][1], end)
                elif number:
                    places.append((number, start, end))
                iterator += 1
            block = block.next()
        return places

    # ---- the object

    def _insert_settled(
        self, cursor: QTextCursor, source: _Formula, layout: FormulaLayout | None
    ) -> None:
        """Insert a formula as an object, or its source where it has no layout."""
        fmt, own_line = source.fmt, source.own_line
        if layout is None:
            insert_source(cursor, source.text, fmt, self._style)
            return
        font = fmt.font().resolve(self._document.defaultFont())
        metrics = QFontMetricsF(font)
        pixels = QFontInfo(font).pixelSize()
        ratio = metrics.xHeight() / (_X_HEIGHT_OF_FONT * pixels)
        formula = SetFormula(
            layout=layout,
            em_px=pixels * min(max(ratio, _SCALES[0]), _SCALES[1]),
            colour=fmt.foreground().color(),
            font=font,
            x_height=metrics.xHeight(),
            text_descent=metrics.descent(),
            own_line=own_line,
        )
        self.drawn.append(formula)
        object_format = QTextCharFormat(fmt)
        object_format.setObjectType(FORMULA_OBJECT)
        object_format.setProperty(FORMULA_INDEX, len(self.drawn) - 1)
        object_format.setProperty(FORMULA_SOURCE, source.text)
        object_format.setToolTip("")
        if not own_line and self._descends(formula):
            object_format.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignMiddle)
        if cursor.atBlockStart() and not own_line:
            # A line of formulas alone is as high as one of text.
            cursor.insertText(display_text.BREAK, fmt)
        cursor.insertText("\ufffc", object_format)

    @staticmethod
    def _descends(formula: SetFormula) -> bool:
        """Whether it reaches further below the line than letters do.

        Qt puts an object either on the baseline or, with as much below as above, beside the middle
        of a small letter. The first may still be drawn a little below its box.
        """
        below = formula.layout.descent * formula.em_px / UNITS
        return below > formula.text_descent * 1.15

    def intrinsicSize(self, _document: QTextDocument, position: int, fmt: QTextFormat) -> QSizeF:
        formula = self.drawn[fmt.intProperty(FORMULA_INDEX)]
        scale = self._scale(formula, position)
        above, below = formula.layout.ascent * scale, formula.layout.descent * scale
        width = formula.layout.width * scale
        if formula.own_line:
            return QSizeF(width, max(0.0, above) + max(0.0, below))
        if self._descends(formula):
            quarter = formula.x_height / 4
            return QSizeF(width, 2 * max(above - quarter, below + quarter))
        return QSizeF(width, above)

    def drawObject(
        self,
        painter: QPainter,
        rect: QRectF | QRect,
        _document: QTextDocument,
        position: int,
        fmt: QTextFormat,
    ) -> None:
        formula = self.drawn[fmt.intProperty(FORMULA_INDEX)]
        scale = self._scale(formula, position)
        baseline = rect.bottom()
        if formula.own_line:
            baseline = rect.top() + formula.layout.ascent * scale
        elif self._descends(formula):
            baseline = rect.top() + rect.height() / 2 + formula.x_height / 4
        # The colour of the text around it: another one in a selection.
        colour = fmt.toCharFormat().foreground().color()
        place, outlines = QPointF(rect.left(), baseline), self._service.child.outlines
        outlines.paint(painter, place, formula.layout, scale * UNITS, colour, formula.font)
        if colour != formula.colour:  # Qt would lay half of the selection's colour over it
            painter.setOpacity(0.0)

    def _scale(self, formula: SetFormula, position: int) -> float:
        """Pixels of a thousandth of an em, smaller where the formula is wider than its line."""
        scale = formula.em_px / UNITS
        fmt: QTextBlockFormat = self._document.findBlock(position).blockFormat()
        taken = fmt.indent() * self._document.indentWidth() + fmt.leftMargin()
        free = max(40.0, self._document.textWidth() - taken)
        return min(scale, free / max(1.0, formula.layout.width))


def insert_source(
    cursor: QTextCursor, text: str, fmt: QTextCharFormat, style: TextStyle, *, joined: bool = False
) -> None:
    """Insert LaTeX that is not drawn as a formula: quiet, in the font of code, every sign kept.

    With `joined` its lines become one, about as high as the formula that is to come.
    """
    text = " ".join(text.split("\n")) if joined else text
    quiet = QTextCharFormat(fmt)
    style.set_mono(quiet)
    quiet.setForeground(QBrush(style.colours.dim))
    cursor.insertText(
        display_text.breakable(display_text.code(text)).replace("\n", display_text.LINE), quiet
    )


def source_of(fmt: QTextCharFormat) -> str:
    """The LaTeX of the formula that `fmt` belongs to, as it was written."""
    return fmt.stringProperty(FORMULA_SOURCE)
