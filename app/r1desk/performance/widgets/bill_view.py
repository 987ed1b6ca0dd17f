"""Memory as bars: the bill in three parts with a table of its lines; the fill of the context."""

from html import escape

from PySide6.QtCore import QEvent, QRectF, Slot
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from deepseek_r1.core.events import Bill
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_mib
from deepseek_r1.memory.advice import ITEM_NAMES
from r1desk.chat.values.prompt import PromptSize
from r1desk.performance.hints import (
    BillPart,
    bill_parts,
    bill_summary,
    bill_total,
    format_context_left,
    part_of,
)
from r1desk.theme import set_role, tokens
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import text_label

WARN_AT = 0.85
OVER_AT = 1.02  # measuring a process and planning it differ by up to two percent
_COLOURS = {  # fields of `Tokens`
    BillPart.MODEL: "accent",
    BillPart.CONVERSATION: "second_part",
    BillPart.APPLICATION: "third_part",
}


def part_colour(part: BillPart) -> str:
    """A part's colour in the present theme."""
    return str(getattr(tokens(), _COLOURS[part]))


def level(fraction: float, *, full_is_fine: bool = False) -> str:
    """The role of a bar: a warning from 85 % up to the budget, danger beyond its tolerance.

    Where it is meant to be filled (`full_is_fine`), it is calm up to the budget.
    """
    if fraction > OVER_AT:
        return "danger"
    return "warning" if fraction > WARN_AT and not full_is_fine else ""


class LevelBar(QProgressBar):
    """A bar of how much of a whole is used, in the colour of its `level`."""

    def __init__(self) -> None:
        super().__init__(maximum=1000, textVisible=False)

    def show_part(self, part: float, whole: float, *, full_is_fine: bool = False) -> None:
        """Show this part; a whole of 0 is not known yet."""
        fraction = part / whole if whole > 0 else 0.0
        self.setValue(round(1000 * min(1.0, fraction)))
        set_role(self, level(fraction, full_is_fine=full_is_fine))


class ContextMeter(QWidget):
    """The tokens of the conversation on the screen, against what the model can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.text = text_label("", "dim")
        self._bar = LevelBar()
        heading = text_label(tr("This chat"), "heading")
        filled(QVBoxLayout(self), heading, self._bar, self.text, spacing=6)
        self.show_size(None)

    @Slot(object)
    def show_size(self, size: PromptSize | None) -> None:
        """Show the tokens in use; None without a model."""
        used, length = (size.used, size.context) if size is not None else (0, 0)
        text = format_context_left(used, length, size.reserve if size is not None else 0)
        self.text.setText(text)
        self._bar.setAccessibleName(text)
        self._bar.show_part(used, length)


class BillBar(QWidget):
    """Three parts side by side; the whole width is the budget, or the total where it is larger."""

    def __init__(self) -> None:
        super().__init__()
        self.bill: Bill | None = None
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
        if (bill := self.bill) is not None:
            scale = self.width() / max(bill.budget_mib, bill.total_mib, 1.0)
            left = 0.0
            for part, mib in bill_parts(bill).items():
                box = QRectF(left, 0, max(0.0, mib * scale - 1), self.height())
                painter.fillRect(box, QColor(part_colour(part)))
                left += mib * scale
            if not bill.fits:
                whole.setLeft(bill.budget_mib * scale)
                painter.fillRect(whole, QColor(tokens().danger))
        painter.end()


class BillView(QWidget):
    """Total against the budget, the bar and its legend. `details` has the table of all lines."""

    def __init__(self) -> None:
        super().__init__()
        self.total = text_label("", "heading")
        self.total.setWordWrap(True)
        self.bar = BillBar()
        self.legend = QLabel(wordWrap=True)
        set_role(self.legend, "small")
        filled(QVBoxLayout(self), self.total, self.bar, self.legend, spacing=6)
        self.details = QLabel()
        self.setAccessibleName(tr("Memory bill"))
        self.show_bill(None)

    def show_bill(self, bill: Bill | None) -> None:
        """Show `bill`; None when no model is known yet."""
        self.bar.bill = bill
        self.bar.update()
        self.total.setText(
            bill_total(bill) if bill else tr("The memory bill appears once a model is chosen.")
        )
        set_role(self.total, "heading" if bill is None or bill.fits else "alarm")
        self._show_texts()
        self.setAccessibleDescription(bill_summary(bill) if bill else self.total.text())

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange:
            self._show_texts()
        super().changeEvent(event)

    def _show_texts(self) -> None:
        """The legend and the table, with squares in the colours of the theme."""
        sums = bill_parts(self.bar.bill) if self.bar.bill is not None else {}
        texts = (f"{tr(part)} {format_mib(sums[part])}" if sums else tr(part) for part in BillPart)
        parts = (
            f"{_square(part)}&nbsp;{escape(text).replace(' ', '&nbsp;')}"
            for part, text in zip(BillPart, texts, strict=True)
        )
        self.legend.setText(" &nbsp; ".join(parts))
        self.details.setText(_table(self.bar.bill) if self.bar.bill is not None else "")


def _table(bill: Bill) -> str:
    """All lines of a bill as HTML; MiB that were measured stand beside the planned ones."""
    measured = any(line.measured_mib is not None for line in bill.lines)
    headings = (tr("planned"), tr("measured")) if measured else (tr("MiB"),)
    rows = ["".join(("<td></td><td></td>", *map(_number, headings)))]
    for line in bill.lines:
        numbers = [_number(f"{line.planned_mib:,.0f}")]
        if measured:
            known = line.measured_mib
            numbers.append(_number("–" if known is None else f"{known:,.0f}"))
        name = escape(tr(ITEM_NAMES[line.name]))
        square = _square(part_of(line.name))
        rows.append(f"<td>{square}</td><td>{name}</td>{''.join(numbers)}")
    return f"<table width='100%'><tr>{'</tr><tr>'.join(rows)}</tr></table>"


def _number(text: str) -> str:
    return f"<td align='right'>&nbsp; {escape(text)}</td>"


def _square(part: BillPart) -> str:
    return f"<span style='color:{part_colour(part)}'>■</span>"
