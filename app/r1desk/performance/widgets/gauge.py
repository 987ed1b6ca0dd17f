"""The strip below the chat: memory and state, and on request all else that is in use right now.

It shows values and never measures. Nothing is repainted for a value that did not change.
"""

import time
from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLayout, QSizePolicy, QWidget

from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.units import format_mib, format_part
from r1desk.performance.readings import GaugeValues, rates_summary, rates_tooltip
from r1desk.performance.widgets.meters import Meter
from r1desk.theme import tokens
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import tool_button

HEIGHT_PX = 44
SUMMARY_EVERY_S = 5.0
MARGIN_PX, SPACING_PX = 8, 8
BUTTON_PX, MEMORY_PX = 30, 260


class Gauge(QWidget):
    """Memory against the budget and the state; a button shows machine, processor, speed, disk.

    `memory` and `state` are clicked to see more of it, and `stop` ends preparing the next turn.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self.values: GaugeValues | None = None  # on the screen
        self._summarised_s = float("-inf")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(HEIGHT_PX)
        self.setAccessibleName(tr("Status bar"))
        self.memory = Meter(tr("Memory"), "88.8 / 88.8 GB")
        self._machine = Meter(tr("Computer"), "88.8 / 88.8 GB")
        self._cpu = Meter(tr("CPU"), "100 %", grows=False)
        self.state = Meter("", tr("Loading"), grows=False)
        self.stop = tool_button("close", tr("Stop preparing"))
        self.stop.setFixedSize(BUTTON_PX, BUTTON_PX)
        self.stop.setVisible(False)
        self._speed = Meter("", "888.8 tok/s", grows=False)
        self._disk = Meter(tr("Disk"), "88.8 GB/s", grows=False)
        self.all_button = tool_button("cpu", tr("More readings"), "text_dim")
        self.all_button.setCheckable(True)
        self.all_button.setFixedSize(BUTTON_PX, BUTTON_PX)
        self.all_button.toggled.connect(self._fit)
        self.memory.setMaximumWidth(MEMORY_PX)
        self._machine.setMaximumWidth(MEMORY_PX)
        self.memory.make_button(tr("Memory: open the panel"))
        self.state.make_button(tr("State: show the chat being answered"))
        margins = MARGIN_PX, 4, MARGIN_PX, 4
        layout = filled(QHBoxLayout(self), spacing=SPACING_PX, margins=margins)
        layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        for part, factor in (
            (self.memory, 3),
            (self.state, 0),
            (self.stop, 0),
            (self._speed, 0),
            (self._machine, 2),
            (self._cpu, 0),
            (self._disk, 0),
        ):
            layout.addWidget(part, factor, Qt.AlignmentFlag.AlignVCenter)
        layout.addStretch(1)
        layout.addWidget(self.all_button)

    def show_values(self, values: GaugeValues) -> None:
        """Show `values`. GUI thread; cheap when nothing changed."""
        if values != self.values:
            self.values = values
            self._show(values)
        self._summarise(values)

    def _show(self, values: GaugeValues) -> None:
        sample = values.sample
        budget = values.budget_mib
        self.memory.show_value(
            format_part(sample.app_mib, budget) if budget else format_mib(sample.app_mib),
            _share(sample.app_mib, budget),
            full_is_fine=values.streaming is not None,  # it takes what the budget allows
        )
        self._machine.show_value(
            format_part(sample.machine_used_mib, sample.machine_total_mib),
            _share(sample.machine_used_mib, sample.machine_total_mib),
        )
        self._cpu.show_value(f"{sample.cpu:.0%}".replace("%", " %"), None)
        self.state.show_value(values.state, None)
        self.stop.setVisible(values.preparing)
        self._speed.show_value(f"{values.tok_s:.1f} tok/s" if values.tok_s else "– tok/s", None)
        streaming = values.streaming
        self._disk.show_value(f"{format_mib(streaming.read_mib_s)}/s" if streaming else "", None)
        self._set_tooltips(values)
        self._fit()

    def _set_tooltips(self, values: GaugeValues) -> None:
        sample = values.sample
        self.memory.setToolTip(
            tr(
                "R1 Desk uses {app} (window {window}, engine {engine})",
                app=format_mib(sample.app_mib),
                window=format_mib(sample.window_mib),
                engine=format_mib(sample.engine_mib),
            )
        )
        self._machine.setToolTip(
            tr(
                "All programs of this computer use {part}",
                part=format_part(sample.machine_used_mib, sample.machine_total_mib),
            )
        )
        self._speed.setToolTip(tr("Tokens written per second"))
        if values.streaming is not None:
            self._disk.setToolTip(rates_tooltip(values.streaming))

    def _summarise(self, values: GaugeValues) -> None:
        """Let screen readers have the values, but not several times a second."""
        now = self._clock()
        if now - self._summarised_s < SUMMARY_EVERY_S:
            return
        text = gauge_summary(values)
        if text != self.accessibleDescription():
            self._summarised_s = now
            self.setAccessibleDescription(text)

    @Slot()
    def _fit(self) -> None:
        """Show all that is wanted; in a narrow window the least important parts go first."""
        left = self.width() - 2 * MARGIN_PX - BUTTON_PX
        if not self.stop.isHidden():
            left -= BUTTON_PX + SPACING_PX
        shows_all = self.all_button.isChecked()
        streams = self.values is not None and self.values.streaming is not None
        for part, wanted in (
            (self.memory, True),
            (self.state, True),
            (self._speed, shows_all),
            (self._disk, shows_all and streams),
            (self._cpu, shows_all),
            (self._machine, shows_all),
        ):
            width = max(part.sizeHint().width(), part.minimumWidth()) + SPACING_PX
            left -= width if wanted else 0
            part.setVisible(wanted and left >= 0)

    def minimumSizeHint(self) -> QSize:
        # Not the layout's own: parts that can go must not keep the window wide.
        return QSize(self.memory.sizeHint().width() + 2 * MARGIN_PX, HEIGHT_PX)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = tokens()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(colours.background))
        painter.setPen(QPen(QColor(colours.border), colours.frame_px))
        painter.drawLine(0, 0, self.width(), 0)
        painter.end()


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def gauge_summary(values: GaugeValues) -> str:
    """The gauge as sentences."""
    app_mib, budget_mib = values.sample.app_mib, values.budget_mib
    known = N_("{state}. Memory {memory}. Processor {cpu:.0%}. {tok_s:.1f} tokens per second.")
    text = tr(
        known if budget_mib else N_("{state}. Memory {memory}. Processor {cpu:.0%}."),
        state=values.state,
        memory=format_part(app_mib, budget_mib) if budget_mib else format_mib(app_mib),
        cpu=values.sample.cpu,
        tok_s=values.tok_s,
    )
    return text if values.streaming is None else f"{text} {rates_summary(values.streaming)}"
