"""Rows of the panel: a title, a control, and one quiet line that says what it costs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.events import ModelFacts
from deepseek_r1.core.settings import Takes, Words
from deepseek_r1.core.words import tr
from r1desk.layouts import put_inside
from r1desk.theme import explain, set_role

Value = float | int | bool | str
SPIN_PX = 96


def label(text: str, role: str = "") -> QLabel:
    """A plain-text label that wraps when it is a note."""
    result = QLabel(text)
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setWordWrap(role in {"dim", "danger", "warning"})
    if role:
        set_role(result, role)
    return result


class Row(QWidget):
    """What all rows share. `changed` carries the new value when the user changes it."""

    changed = Signal(object)

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words
        self._title = label(tr(words.title))
        self.badge = label(tr("reload"), "badge")
        explain(self.badge, tr("In force after the model is loaded again."))
        self.badge.setVisible(words.takes is Takes.RELOAD)
        self.badge.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.cost = label("", "dim")
        self.cost.setVisible(False)
        self._said = ""  # the quiet line, also while something else stands there
        self._out_of_reach = ""  # why, where it is
        explain(self, tr(words.help))
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(2)
        self._head = put_inside(self._box, QHBoxLayout())
        self._head.setSpacing(6)
        self._head.addWidget(self._title)
        self._head.addWidget(self.badge)
        self._head.addStretch(1)

    def show_cost(self, text: str) -> None:
        """The quiet line below; empty hides it. Out of reach it keeps saying why."""
        self._said = text
        shown = self._out_of_reach or text
        self.cost.setText(shown)
        self.cost.setVisible(bool(shown))

    def disable(self, reason: str) -> None:
        """Keep it visible, out of reach, and say why."""
        self._out_of_reach = reason
        self._set_reach(within=False, description=reason)
        self.show_cost(self._said)

    def enable(self) -> None:
        """Back within reach, if it was not."""
        if self._out_of_reach:
            self._out_of_reach = ""
            self._set_reach(within=True, description=tr(self.words.help))
            self.show_cost(self._said)

    def _set_reach(self, *, within: bool, description: str) -> None:
        for control in self._controls():
            control.setEnabled(within)
            explain(control, "" if within else description)
            control.setAccessibleDescription(description)
        self._title.setEnabled(within)
        self.badge.setVisible(within and self.words.takes is Takes.RELOAD)
        explain(self, description)

    def _controls(self) -> Sequence[QWidget]:
        raise NotImplementedError

    def _adopt(self, control: QWidget) -> None:
        control.setAccessibleName(tr(self.words.title))
        control.setAccessibleDescription(tr(self.words.help))
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        control.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        # The wheel scrolls the panel; it must not change what lies under the pointer.
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def grey_out(rows: Mapping[str, Row], facts: ModelFacts) -> None:
    """Put out of reach what the model's engine has no use for, and all else within."""
    for key, row in rows.items():
        if key in facts.ignored:
            row.disable(
                tr(
                    "{engine}, which runs {format} files, cannot do this.",
                    engine=facts.engine.split()[0],
                    format=facts.format,
                )
            )
        else:
            row.enable()


class NumberRow(Row):
    """A slider over sensible steps and a field for any value in between."""

    def __init__(
        self, words: Words, steps: Sequence[float], bounds: tuple[float, float], decimals: int = 0
    ) -> None:
        super().__init__(words)
        self._decimals = decimals
        self._quiet = False
        self.spin = QDoubleSpinBox()
        self.spin.setDecimals(decimals)
        self.spin.setGroupSeparatorShown(True)
        self.spin.setKeyboardTracking(False)
        self.spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.spin.lineEdit().setTextMargins(0, 0, 5, 0)
        self.spin.setMinimumWidth(SPIN_PX)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self._title.setBuddy(self.spin)
        for control in (self.spin, self.slider):
            self._adopt(control)
        self._head.addWidget(self.spin)
        if words.unit:
            self._head.addWidget(label(tr(words.unit), "unit"))
        self._box.addWidget(self.slider)
        self._box.addWidget(self.cost)
        self.set_steps(steps, bounds)
        self.spin.valueChanged.connect(self._on_spin)
        self.slider.valueChanged.connect(self._on_slider)

    def _controls(self) -> Sequence[QWidget]:
        return (self.spin, self.slider)

    @property
    def value(self) -> float | int:
        """What the field says."""
        number = self.spin.value()
        return number if self._decimals else round(number)

    def set_steps(self, steps: Sequence[float], bounds: tuple[float, float]) -> None:
        """Other steps and bounds; the value stays where it can. Emits nothing."""
        self._steps = tuple(steps)
        self._quiet = True
        self.spin.setRange(*bounds)
        self.slider.setRange(0, max(0, len(self._steps) - 1))
        self.slider.setPageStep(max(1, len(self._steps) // 8))
        self.spin.setSingleStep(self._single_step())
        self.slider.setValue(self._nearest(self.spin.value()))
        self._quiet = False

    def _single_step(self) -> float:
        return self._steps[1] - self._steps[0] if len(self._steps) > 1 else 1.0

    def set_value(self, value: float) -> None:
        """Show `value` and emit nothing."""
        self._quiet = True
        if value > self.spin.maximum():
            self.spin.setMaximum(value)  # what the user once chose is shown, not bent
        self.spin.setValue(value)
        self.slider.setValue(self._nearest(value))
        self._quiet = False

    def _nearest(self, value: float) -> int:
        at = bisect_left(self._steps, value)
        near = [i for i in (at - 1, at) if 0 <= i < len(self._steps)]
        return min(near, key=lambda i: abs(self._steps[i] - value), default=0)

    def _on_spin(self, value: float) -> None:
        if self._quiet:
            return
        self._quiet = True
        self.slider.setValue(self._nearest(value))
        self._quiet = False
        self.changed.emit(self.value)

    def _on_slider(self, position: int) -> None:
        if self._quiet:
            return
        self._quiet = True
        self.spin.setValue(self._steps[position])
        self._quiet = False
        self.changed.emit(self.value)


class ChoiceRow(Row):
    """One of a few words."""

    def __init__(self, words: Words, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(words)
        self.combo = QComboBox()
        for value, text in choices:
            self.combo.addItem(text, value)
        self.combo.setMinimumWidth(SPIN_PX)
        self._title.setBuddy(self.combo)
        self._adopt(self.combo)
        self._head.addWidget(self.combo)
        self._box.addWidget(self.cost)
        self.combo.activated.connect(lambda _index: self.changed.emit(self.value))

    def _controls(self) -> Sequence[QWidget]:
        return (self.combo,)

    @property
    def value(self) -> str:
        """The chosen value, not its words."""
        return str(self.combo.currentData())

    def set_value(self, value: str) -> None:
        """Show `value` and emit nothing."""
        self.combo.setCurrentIndex(self.combo.findData(str(value)))


class SwitchRow(Row):
    """On or off."""

    def __init__(self, words: Words) -> None:
        super().__init__(words)
        self.check = QCheckBox()
        set_role(self.check, "bare")
        self._title.setBuddy(self.check)
        self._adopt(self.check)
        self._head.addWidget(self.check)
        self._box.addWidget(self.cost)
        self.check.clicked.connect(lambda: self.changed.emit(self.value))

    def _controls(self) -> Sequence[QWidget]:
        return (self.check,)

    @property
    def value(self) -> bool:
        """Whether it is on."""
        return self.check.isChecked()

    def set_value(self, value: bool) -> None:
        """Show `value` and emit nothing."""
        self.check.setChecked(value)
