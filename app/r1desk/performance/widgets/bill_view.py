"""The memory bill: one bar in three parts against the budget, and a table of all lines."""

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from deepseek_r1.core.events import Bill
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_mib
from deepseek_r1.memory.advice import ITEM_NAMES
from r1desk.performance.hints import BillPart, bill_parts, bill_summary, bill_total, part_of
from r1desk.performance.widgets.meters import Picture
from r1desk.theme import set_role, tokens
from r1desk.widgets.layouts import discard, filled, with_properties
from r1desk.widgets.text_label import text_label

# Fields of `Tokens`.
_COLOURS = {
    BillPart.MODEL: "accent",
    BillPart.CONVERSATION: "second_part",
    BillPart.APPLICATION: "third_part",
}


def part_colour(part: BillPart) -> str:
    """A part's colour in the present theme."""
    return str(getattr(tokens(), _COLOURS[part]))


class BillBar(Picture):
    """Three parts side by side; the whole width is the budget, or the total where it is larger."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        whole = QRectF(self.rect())
        clip = QPainterPath()
        clip.addRoundedRect(whole, 6, 6)
        painter.setClipPath(clip)
        painter.fillRect(whole, QColor(tokens().track))
        if self.shown is not None:
            self._draw_parts(painter, self.shown)
        painter.end()

    def _draw_parts(self, painter: QPainter, bill: Bill) -> None:
        scale = self.width() / max(bill.budget_mib, bill.total_mib, 1.0)
        left = 0.0
        for part, mib in bill_parts(bill).items():
            width = mib * scale
            box = QRectF(left, 0, max(0.0, width - 1), self.height())
            painter.fillRect(box, QColor(part_colour(part)))
            left += width
        if not bill.fits:
            over = QRectF(self.rect())
            over.setLeft(bill.budget_mib * scale)
            painter.fillRect(over, QColor(tokens().danger))


class BillLegend(QWidget):
    """A coloured square, a name and the memory of each part."""

    def __init__(self) -> None:
        super().__init__()
        self._squares: dict[BillPart, QLabel] = {}
        self.texts: dict[BillPart, QLabel] = {}
        row = filled(QHBoxLayout(self), spacing=5)
        for part in BillPart:
            self._squares[part] = QLabel()
            self.texts[part] = text_label("", "small")
            row.addWidget(self._squares[part])
            row.addWidget(self.texts[part])
            row.addStretch(1)
        self.show_bill(None)

    def show_bill(self, bill: Bill | None) -> None:
        """Show the parts of `bill`; None shows the names alone."""
        sums = bill_parts(bill) if bill is not None else {}
        for part in BillPart:
            self._squares[part].setPixmap(_square(part))
            self.texts[part].setText(f"{tr(part)} {format_mib(sums[part])}" if sums else tr(part))


class BillView(QWidget):
    """Total against the budget, the bar and its legend. `details` holds the table of all lines."""

    def __init__(self) -> None:
        super().__init__()
        self.total = text_label("", "heading")
        self.total.setWordWrap(True)
        self.bar = BillBar()
        self.legend = BillLegend()
        filled(QVBoxLayout(self), self.total, self.bar, self.legend, spacing=6)
        self.details = QWidget()
        self._table = with_properties(
            QGridLayout(self.details), horizontalSpacing=10, verticalSpacing=1
        )
        self._table.setContentsMargins(0, 0, 0, 0)
        self._table.setColumnStretch(1, 1)
        self._cells: list[QLabel] = []
        self.setAccessibleName(tr("Memory bill"))
        self.show_bill(None)

    def show_bill(self, bill: Bill | None) -> None:
        """Show `bill`; None when no model is known yet."""
        self._bill = bill
        self.bar.show_picture(bill)
        self.legend.show_bill(bill)
        self.total.setText(
            bill_total(bill) if bill else tr("The memory bill appears once a model is chosen.")
        )
        set_role(self.total, "heading" if bill is None or bill.fits else "alarm")
        self._fill_table(bill)
        self.setAccessibleDescription(bill_summary(bill) if bill else self.total.text())

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange:
            self.legend.show_bill(self._bill)
            self._fill_table(self._bill)
        super().changeEvent(event)

    def _fill_table(self, bill: Bill | None) -> None:
        discard(*self._cells)
        self._cells.clear()
        if bill is None:
            return
        measured = any(line.measured_mib is not None for line in bill.lines)
        headings = [tr("planned"), tr("measured")] if measured else [tr("MiB")]
        for column, heading in enumerate(headings, 2):
            self._put(_number(heading, dim=True), 0, column)
        for row, line in enumerate(bill.lines, 1):
            self._put(QLabel(pixmap=_square(part_of(line.name))), row, 0)
            self._put(text_label(tr(ITEM_NAMES[line.name])), row, 1)
            self._put(_number(f"{line.planned_mib:,.0f}"), row, 2)
            if measured:
                known = line.measured_mib
                self._put(_number("–" if known is None else f"{known:,.0f}"), row, 3)

    def _put(self, cell: QLabel, row: int, column: int) -> None:
        self._table.addWidget(cell, row, column)
        self._cells.append(cell)


def _number(text: str, dim: bool = False) -> QLabel:
    result = QLabel(text)
    result.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    if dim:
        set_role(result, "dim")
    return result


def _square(part: BillPart) -> QPixmap:
    picture = QPixmap(10, 10)
    picture.fill(QColor(part_colour(part)))
    return picture
