"""The memory bill: a stacked bar against the budget and the lines behind it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.events import Bill, BillLine
from deepseek_r1.core.words import N_, tr
from r1desk.layouts import put_inside
from r1desk.performance.rows import label
from r1desk.theme import set_role, tokens

LINE_WORDS = {
    "weights": N_("Weights"),
    "pinned": N_("Weights in memory"),
    "slots": N_("Slots for streaming"),
    "experts": N_("Experts in memory"),
    "kv_cache": N_("Context"),
    "compute": N_("Computing"),
    "output": N_("Output"),
    "runtime": N_("Engine"),
    "window": N_("Window"),
    "reserve": N_("Reserve"),
}


# A line keeps its colour whatever lines are beside it.
_COLOURS = {"weights": 0, "pinned": 0, "kv_cache": 1, "compute": 2, "output": 3, "runtime": 4,
            "window": 5, "reserve": 6, "slots": 7, "experts": 8}  # fmt: skip


def line_colour(name: str) -> str:
    """A bill line's colour in the present theme; what is not known shares the last one."""
    return tokens().series[_COLOURS.get(name, -1)]


def line_words(name: str) -> str:
    """A bill line's name for people."""
    return tr(LINE_WORDS[name]) if name in LINE_WORDS else name


def line_mib(bill: Bill, *names: str) -> float:
    """The planned sum of the lines `names`."""
    return sum(line.planned_mib for line in bill.lines if line.name in names)


class BillBar(QWidget):
    """Parts of the bill side by side; the budget is the whole width, or a mark when it is less."""

    def __init__(self) -> None:
        super().__init__()
        self._bill: Bill | None = None
        self.setFixedHeight(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_bill(self, bill: Bill | None) -> None:
        """Draw another bill."""
        self._bill = bill
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        whole = QRectF(self.rect())
        clip = QPainterPath()
        clip.addRoundedRect(whole, 6, 6)
        painter.setClipPath(clip)
        painter.fillRect(whole, QColor(colours.track))
        if self._bill is not None:
            self._draw_parts(painter, self._bill)
        painter.end()

    def _draw_parts(self, painter: QPainter, bill: Bill) -> None:
        colours = tokens()
        scale = self.width() / max(bill.budget_mib, bill.total_mib, 1.0)
        left = 0.0
        for line in bill.lines:
            width = line.planned_mib * scale
            fill = QColor(line_colour(line.name))
            painter.fillRect(QRectF(left, 0, max(0.0, width - 1), self.height()), fill)
            left += width
        if not bill.fits:
            edge = bill.budget_mib * scale
            over = QColor(colours.danger)
            painter.fillRect(QRectF(edge, 0, self.width() - edge, self.height()), over)


class BillView(QWidget):
    """Total against the budget, the bar, planned and measured lines, and advice."""

    def __init__(self) -> None:
        super().__init__()
        self.total = label("", "heading")
        self.total.setWordWrap(True)
        self.bar = BillBar()
        self.peak = label("", "dim")
        self.peak.setWordWrap(True)
        self.peak.hide()
        self.advice = label("", "danger")
        self.advice.hide()
        self.take_button = QPushButton(tr("Use these settings"))
        self.take_button.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.total)
        layout.addWidget(self.bar)
        self._table = put_inside(layout, QGridLayout())
        self._table.setHorizontalSpacing(10)
        self._table.setVerticalSpacing(1)
        self._table.setColumnStretch(1, 1)
        self._cells: list[QLabel] = []
        layout.addWidget(self.peak)
        layout.addWidget(self.advice)
        layout.addWidget(self.take_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.setAccessibleName(tr("Memory bill"))
        self.show_bill(None)

    def show_bill(self, bill: Bill | None, advice: str = "", *, can_be_taken: bool = False) -> None:
        """Show `bill`; None when no model is known yet."""
        self._bill = bill
        self.bar.show_bill(bill)
        self.show_advice(advice, can_be_taken=can_be_taken)
        if bill is None:
            self.total.setText(tr("The bill appears with the model."))
        else:
            self.total.setText(
                tr(
                    "{total:,.0f} of {budget:,.0f} MiB",
                    total=bill.total_mib,
                    budget=bill.budget_mib,
                )
            )
        set_role(self.total, "heading" if bill is None or bill.fits else "alarm")
        self._fill_table(bill)
        self.setAccessibleDescription(self.total.text() if bill is None else spoken(bill))

    def show_peak(self, engine_mib: float, window_mib: float) -> None:
        """The most that was in use at once since the load, beside what was planned."""
        text = tr(
            "Peak: {total:,.0f} MiB (engine {engine:,.0f}, window {window:,.0f})",
            total=engine_mib + window_mib,
            engine=engine_mib,
            window=window_mib,
        )
        if text != self.peak.text():
            self.peak.setText(text)
        self.peak.setVisible(engine_mib > 0)

    def show_advice(self, text: str, *, can_be_taken: bool = False) -> None:
        """A sentence below the lines, with a button to follow it; empty hides both."""
        self.take_button.setVisible(bool(text) and can_be_taken)
        self.advice.setText(text)
        self.advice.setVisible(bool(text))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange and self._bill is not None:
            self._fill_table(self._bill)
        super().changeEvent(event)

    def _fill_table(self, bill: Bill | None) -> None:
        for old in self._cells:
            self._table.removeWidget(old)
            old.hide()
            old.deleteLater()
        self._cells.clear()
        if bill is None:
            return
        measured = any(line.measured_mib is not None for line in bill.lines)
        headings = [tr("planned"), tr("measured")] if measured else [tr("MiB")]
        for column, heading in enumerate(headings, 2):
            self._put(_number(heading, dim=True), 0, column)
        for at, line in enumerate(bill.lines):
            self._add_line(at, line, measured)

    def _add_line(self, at: int, line: BillLine, measured: bool) -> None:
        self._put(_swatch(line.name), at + 1, 0)
        self._put(label(line_words(line.name)), at + 1, 1)
        self._put(_number(f"{line.planned_mib:,.1f}"), at + 1, 2)
        if measured:
            known = line.measured_mib
            self._put(_number("–" if known is None else f"{known:,.1f}"), at + 1, 3)

    def _put(self, cell: QLabel, row: int, column: int) -> None:
        self._table.addWidget(cell, row, column)
        self._cells.append(cell)


def spoken(bill: Bill) -> str:
    """The bill as a sentence for a screen reader."""
    lines = ", ".join(f"{line_words(line.name)} {line.planned_mib:,.0f} MiB" for line in bill.lines)
    return (
        tr("{total:,.0f} of {budget:,.0f} MiB", total=bill.total_mib, budget=bill.budget_mib)
        + f": {lines}"
    )


def _number(text: str, dim: bool = False) -> QLabel:
    result = QLabel(text)
    result.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    if dim:
        set_role(result, "dim")
    return result


def _swatch(name: str) -> QLabel:
    picture = QPixmap(10, 10)
    picture.fill(QColor(line_colour(name)))
    result = QLabel()
    result.setPixmap(picture)
    return result
