"""The strip below the chat: what the application uses right now, in one line.

It is told values and never measures. Nothing is repainted for a value that did not change.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLayout, QSizePolicy, QWidget

from deepseek_r1.core.words import tr
from r1desk.performance import streaming as streaming_words
from r1desk.performance.meters import CoreBars, Meter, Sparkline
from r1desk.performance.vitals import Vitals
from r1desk.theme import tokens

HEIGHT_PX = 44
SPOKEN_EVERY_S = 5.0
REMEMBERED_EVERY_S = 0.9
MARGIN_PX, SPACING_PX = 14, 18


class Gauge(QWidget):
    """Memory against the budget, the machine, cores, state, pace, context, and a short history."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._vitals: Vitals | None = None
        self._spoken_s = float("-inf")
        self._remembered_s = float("-inf")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(HEIGHT_PX)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(tr("Live gauge"))
        self._memory = Meter(tr("Memory"), "88,888 / 88,888 MiB")
        self._machine = Meter(tr("Machine"), "88.8 / 88.8 GiB")
        self._cpu = Meter(tr("CPU"), "100 %", stretch=False)
        self._cores = CoreBars()
        self._state = Meter("", tr("Loading"), stretch=False)
        self._pace = Meter("", "888.8 tok/s", stretch=False)
        self._disk = Meter(tr("Disk"), "8,888 MiB/s", stretch=False)
        self._context = Meter(tr("Context"), "88,888 / 88,888")
        self._history = Sparkline()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(MARGIN_PX, 4, MARGIN_PX, 4)
        layout.setSpacing(SPACING_PX)
        layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        for part, stretch in (
            (self._memory, 3),
            (self._machine, 2),
            (self._cpu, 0),
            (self._cores, 0),
            (self._state, 0),
            (self._pace, 0),
            (self._disk, 0),
            (self._context, 2),
            (self._history, 0),
        ):
            layout.addWidget(part, stretch, Qt.AlignmentFlag.AlignVCenter)

    @property
    def vitals(self) -> Vitals | None:
        """What is shown."""
        return self._vitals

    @property
    def repaints(self) -> int:
        """How often a part was repainted because its value changed."""
        return sum(part.repaints for part in self._parts())

    def _parts(self) -> list[Meter | CoreBars | Sparkline]:
        return [
            self._memory,
            self._machine,
            self._cpu,
            self._cores,
            self._state,
            self._pace,
            self._disk,
            self._context,
            self._history,
        ]

    def update_vitals(self, vitals: Vitals) -> None:
        """Show `vitals`. GUI thread; cheap when nothing changed."""
        self._remember(vitals)
        if vitals != self._vitals:
            self._vitals = vitals
            self._show(vitals)
        self._speak(vitals)

    def _show(self, vitals: Vitals) -> None:
        budget = vitals.budget_mib
        used = f"{vitals.app_mib:,.0f}"
        self._memory.show_value(
            f"{used} / {budget:,.0f} MiB" if budget else f"{used} MiB",
            _share(vitals.app_mib, budget),
            full_is_fine=vitals.streaming is not None,  # it takes what the budget allows
        )
        self._machine.show_value(
            f"{vitals.machine_used_mib / 1024:.1f} / {vitals.machine_total_mib / 1024:.1f} GiB",
            _share(vitals.machine_used_mib, vitals.machine_total_mib),
        )
        self._cpu.show_value(f"{vitals.cpu:.0%}".replace("%", " %"), None)
        self._cores.show_cores(vitals.cores)
        self._state.show_value(vitals.state, None)
        self._pace.show_value(f"{vitals.tok_s:.1f} tok/s" if vitals.tok_s else "– tok/s", None)
        streaming = vitals.streaming
        self._disk.show_value(f"{streaming.read_mib_s:,.0f} MiB/s" if streaming else "", None)
        known = vitals.context_length > 0
        self._context.show_value(
            f"{vitals.context_used:,} / {vitals.context_length:,}" if known else "–",
            _share(vitals.context_used, vitals.context_length),
        )
        self._explain(vitals)
        self._fit()

    def _explain(self, vitals: Vitals) -> None:
        self._memory.setToolTip(
            tr(
                "The application: {app:,.1f} MiB (window {window:,.1f}, engine {engine:,.1f})",
                app=vitals.app_mib,
                window=vitals.window_mib,
                engine=vitals.engine_mib,
            )
        )
        self._machine.setToolTip(
            tr(
                "The whole machine: {used:,.0f} of {total:,.0f} MiB in use",
                used=vitals.machine_used_mib,
                total=vitals.machine_total_mib,
            )
        )
        loads = "\n".join(
            tr("Core {n}: {load:.0%}", n=at, load=core) for at, core in enumerate(vitals.cores, 1)
        )
        self._cpu.setToolTip(loads)
        self._cores.setToolTip(loads)
        self._pace.setToolTip(tr("Tokens written per second"))
        if vitals.streaming is not None:
            self._disk.setToolTip(streaming_words.explained(vitals.streaming))
        self._context.setToolTip(
            tr(
                "{used:,} of {length:,} tokens of the context in use",
                used=vitals.context_used,
                length=vitals.context_length,
            )
        )
        self._history.setToolTip(tr("The last two minutes: memory (area) and processor (dots)"))

    def _remember(self, vitals: Vitals) -> None:
        now = self._clock()
        if now - self._remembered_s < REMEMBERED_EVERY_S:
            return
        self._remembered_s = now
        whole = vitals.budget_mib or vitals.machine_total_mib
        self._history.add(now, _share(vitals.app_mib, whole) or 0.0, vitals.cpu)

    def _speak(self, vitals: Vitals) -> None:
        """Let screen readers have the values, but not several times a second."""
        now = self._clock()
        if now - self._spoken_s < SPOKEN_EVERY_S:
            return
        text = spoken(vitals)
        if text != self.accessibleDescription():
            self._spoken_s = now
            self.setAccessibleDescription(text)

    def _fit(self) -> None:
        """In a narrow window the least important parts go first."""
        room = self.width() - 2 * MARGIN_PX + SPACING_PX
        streams = self._vitals is not None and self._vitals.streaming is not None
        if not streams:
            self._disk.setVisible(False)
        for part in (
            self._memory,
            self._state,
            self._context,
            self._pace,
            *([self._disk] if streams else []),
            self._cpu,
            self._machine,
            self._cores,
            self._history,
        ):
            room -= max(part.sizeHint().width(), part.minimumWidth()) + SPACING_PX
            part.setVisible(room >= 0)

    def minimumSizeHint(self) -> QSize:
        # Not the layout's own: parts that can go must not keep the window wide.
        return QSize(self._memory.sizeHint().width() + 2 * MARGIN_PX, HEIGHT_PX)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = tokens()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(colours.background))
        painter.setPen(QPen(QColor(colours.border), colours.frame_px))
        painter.drawLine(0, 0, self.width(), 0)
        if self.hasFocus():
            painter.setPen(QPen(QColor(colours.focus), colours.focus_px))
            inset = colours.focus_px // 2
            painter.drawRect(self.rect().adjusted(inset, inset, -inset, -inset))
        painter.end()


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def spoken(vitals: Vitals) -> str:
    """The gauge as sentences."""
    text = tr(
        "{state}. Memory {app:,.0f} of {budget:,.0f} MiB. Processor {cpu:.0%}. "
        "{tok_s:.1f} tokens per second. Context {used:,} of {length:,} tokens.",
        state=vitals.state,
        app=vitals.app_mib,
        budget=vitals.budget_mib,
        cpu=vitals.cpu,
        tok_s=vitals.tok_s,
        used=vitals.context_used,
        length=vitals.context_length,
    )
    return (
        text if vitals.streaming is None else f"{text} {streaming_words.spoken(vitals.streaming)}"
    )
