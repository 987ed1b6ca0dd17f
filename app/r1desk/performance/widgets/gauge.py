"""The strip below the chat: memory and state, and on request all else that is in use right now.

It shows values and never measures. Qt paints nothing for a value that did not change.
"""

import time

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QToolButton

from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.units import format_mib, format_part
from r1desk.performance.readings import GaugeValues, rates_summary, rates_tooltip
from r1desk.performance.widgets.bill_view import LevelBar
from r1desk.theme import set_role
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import ElidedLabel, tool_button

HEIGHT_PX = 44
LEAST_PX = 260  # a narrower one cuts its texts off
BAR_PX = 120
SUMMARY_EVERY_S = 5.0


class Gauge(QFrame):
    """Memory against the budget and the state; a button shows speed, disk, processor, machine.

    `memory` and `state` are clicked to see more of it, and `stop` ends preparing the next turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: GaugeValues | None = None  # on the screen
        self._summarised_s = float("-inf")
        set_role(self, "bar")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumSize(LEAST_PX, HEIGHT_PX)
        self.setAccessibleName(tr("Status bar"))
        self.memory = QToolButton(autoRaise=True)
        self.memory.setText(tr("Memory"))
        self.memory.setAccessibleName(tr("Memory: open the panel"))
        self._bar = LevelBar()
        self._bar.setFixedWidth(BAR_PX)
        self.state = QToolButton(autoRaise=True)
        self.state.setAccessibleName(tr("State: show the chat being answered"))
        self.stop = tool_button("close", tr("Stop preparing"))
        self.stop.hide()
        self.readings = ElidedLabel()
        self.readings.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.readings.setAlignment(Qt.AlignmentFlag.AlignVCenter)
        self.all_button = tool_button("cpu", tr("More readings"), "text_dim")
        self.all_button.setCheckable(True)
        self.all_button.toggled.connect(self._show_readings)
        layout = filled(QHBoxLayout(self), spacing=8, margins=(8, 4, 8, 4))
        for part in (self.memory, self._bar, self.state, self.stop, self.readings, self.all_button):
            layout.addWidget(part)
        layout.setStretch(layout.indexOf(self.readings), 1)

    def show_values(self, values: GaugeValues) -> None:
        """Show `values`. GUI thread; cheap when nothing changed."""
        if values != self.values:
            self.values = values
            self._show(values)
        self._summarise(values)

    def _show(self, values: GaugeValues) -> None:
        sample, budget = values.sample, values.budget_mib
        used = format_part(sample.app_mib, budget) if budget else format_mib(sample.app_mib)
        self.memory.setText(f"{tr('Memory')} {used}")
        self.memory.setToolTip(
            tr(
                "R1 Desk uses {app} (window {window}, engine {engine})",
                app=format_mib(sample.app_mib),
                window=format_mib(sample.window_mib),
                engine=format_mib(sample.engine_mib),
            )
        )
        # A model from the disk takes what the budget allows.
        full_is_fine = values.streaming is not None
        self._bar.show_part(sample.app_mib, budget, full_is_fine=full_is_fine)
        self.state.setText(values.state)
        self.stop.setVisible(values.preparing)
        self._show_readings()

    @Slot()
    def _show_readings(self) -> None:
        if self.values is None or not self.all_button.isChecked():
            self.readings.setText("")
            return
        sample, streaming, speed = self.values.sample, self.values.streaming, self.values.tok_s
        parts = [f"{speed:.1f} tok/s" if speed else "– tok/s"]
        if streaming is not None:
            parts.append(f"{tr('Disk')} {format_mib(streaming.read_mib_s)}/s")
        parts.append(f"{tr('CPU')} {sample.cpu:.0%}".replace("%", " %"))
        used = format_part(sample.machine_used_mib, sample.machine_total_mib)
        parts.append(f"{tr('Computer')} {used}")
        self.readings.setText("  ·  ".join(parts))
        tip = tr("All programs of this computer use {part}", part=used)
        if streaming is not None:
            tip += "\n" + rates_tooltip(streaming)
        self.readings.setToolTip(tip)

    def _summarise(self, values: GaugeValues) -> None:
        """Let screen readers have the values, but not several times a second."""
        now = time.monotonic()
        if now - self._summarised_s < SUMMARY_EVERY_S:
            return
        text = gauge_summary(values)
        if text != self.accessibleDescription():
            self._summarised_s = now
            self.setAccessibleDescription(text)


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
