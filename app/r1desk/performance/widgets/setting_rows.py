"""Rows of the panel: a title, a control, and one dim line with the cost of the setting."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import (
    QCoreApplication,
    QEvent,
    QLocale,
    QObject,
    QSignalBlocker,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QKeyEvent, QMouseEvent, QValidator
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.events import ModelFacts
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import AppliesWhen, SettingInfo
from r1desk.theme import explain, set_role
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import text_label

Value = float | int | bool | str
SPIN_PX = 96

BUDGET_STEP_MIB = 256


def budget_steps(machine_mib: float) -> tuple[int, ...]:
    """Quarters of a gibibyte up to the machine's memory, wider apart above 8 GiB."""
    top = max(BUDGET_STEP_MIB, int(machine_mib) // BUDGET_STEP_MIB * BUDGET_STEP_MIB)
    steps = list(range(BUDGET_STEP_MIB, min(top, 8192) + 1, BUDGET_STEP_MIB))
    steps += range(9216, min(top, 65536) + 1, 1024)
    steps += range(73728, top + 1, 8192)
    return tuple(dict.fromkeys([*steps, top]))


def power_steps(least: int, most: int) -> tuple[int, ...]:
    """Powers of two and the halves between them, from `least` to `most`."""
    steps = [least]
    power = 1
    while power <= most:
        steps += [n for n in (power, power * 3 // 2) if least < n < most]
        power *= 2
    return tuple(dict.fromkeys([*steps, most]))


def even_steps(least: float, most: float, step: float) -> tuple[float, ...]:
    """Evenly spaced, both ends included."""
    count = round((most - least) / step)
    return tuple(round(least + at * step, 6) for at in range(count + 1))


class StepSlider(QSlider):
    """A horizontal slider without jumps.

    Fusion moves the handle to where the track is clicked: a stray click then sets a value far away.
    Here a click beside the handle moves it by one step towards the pointer.
    """

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        handle = self.style().subControlRect(
            QStyle.ComplexControl.CC_Slider, option, QStyle.SubControl.SC_SliderHandle, self
        )
        x = round(event.position().x())
        if event.button() is not Qt.MouseButton.LeftButton or handle.left() <= x <= handle.right():
            super().mousePressEvent(event)
            return
        event.accept()
        towards_more = (x > handle.right()) != (option.upsideDown)
        step = QSlider.SliderAction
        self.triggerAction(step.SliderSingleStepAdd if towards_more else step.SliderSingleStepSub)


class SettingRow(QWidget):
    """Base of all rows. `changed` carries the new value when the user changes it."""

    changed = Signal(object)

    def __init__(self, info: SettingInfo) -> None:
        super().__init__()
        self.info = info
        self.controls: list[QWidget] = []
        self._title = text_label(tr(info.title))
        self.badge = text_label("\u21bb", "dim")  # an arrow; a word would look like a button
        self.badge.setAccessibleName(tr("needs a reload"))
        explain(self.badge, tr("Takes effect after a reload."))
        self.badge.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.cost = text_label("", "dim")
        self.cost.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.cost.setVisible(False)
        self._cost_lines = 0
        self._cost_text = ""  # also while a reason is shown in its place
        self._disabled_reason = ""
        explain(self, tr(info.help))
        self._box = filled(QVBoxLayout(self), spacing=2)
        self._head = put_inside(self._box, with_properties(QHBoxLayout(), spacing=6))
        self._head.addWidget(self._title)
        self._head.addWidget(self.badge)
        self._head.addStretch(1)
        self.badge.setVisible(info.applies is AppliesWhen.RELOAD)  # without a parent, a window

    @property
    def value(self) -> Any:
        """The value that is shown."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value, without a signal."""
        raise NotImplementedError

    @Slot()
    def _on_set(self) -> None:
        self.changed.emit(self.value)

    def reserve_cost_lines(self, lines: int) -> None:
        """Keep the place of `lines` lines of cost, so that nothing below moves with the text."""
        self._cost_lines = lines
        self._reserve()
        self.cost.setVisible(True)

    def _reserve(self) -> None:
        self.cost.setMinimumHeight(self._cost_lines * self.cost.fontMetrics().lineSpacing())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and self._cost_lines:
            self._reserve()

    def show_cost(self, text: str) -> None:
        """Show `text` below the control; empty hides it. A disabled row keeps its reason there."""
        self._cost_text = text
        shown = self._disabled_reason or text
        self.cost.setText(shown)
        self.cost.setVisible(bool(shown) or self._cost_lines > 0)

    def disable(self, reason: str) -> None:
        """Disable the control and show why."""
        self._disabled_reason = reason
        self._set_enabled(enabled=False, description=reason)
        self.show_cost(self._cost_text)

    def enable(self) -> None:
        """Enable the control again."""
        if self._disabled_reason:
            self._disabled_reason = ""
            self._set_enabled(enabled=True, description=tr(self.info.help))
            self.show_cost(self._cost_text)

    def _set_enabled(self, *, enabled: bool, description: str) -> None:
        for control in self.controls:
            control.setEnabled(enabled)
            explain(control, "" if enabled else description)
            control.setAccessibleDescription(description)
        self._title.setEnabled(enabled)
        self.badge.setVisible(enabled and self.info.applies is AppliesWhen.RELOAD)
        explain(self, description)

    def _set_up(self, *controls: QWidget) -> None:
        """Name the controls of the row; the title is the first one's label."""
        self._title.setBuddy(controls[0])
        self.controls += controls
        for control in controls:
            control.setAccessibleName(tr(self.info.title))
            control.setAccessibleDescription(tr(self.info.help))
            control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            control.installEventFilter(self)

    def _put_in_head(self, control: QWidget) -> None:
        """Set up the only control of the row, beside the title."""
        self._set_up(control)
        self._head.addWidget(control)
        self._box.addWidget(self.cost)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        # The wheel scrolls the panel; it must not change what lies under the pointer.
        is_elsewhere = isinstance(watched, QWidget) and not watched.hasFocus()
        if event.type() == QEvent.Type.Wheel and is_elsewhere:
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def grey_out(rows: Mapping[str, SettingRow], facts: ModelFacts) -> None:
    """Disable the rows of settings that the model's engine ignores; enable all others."""
    for key, row in rows.items():
        if key in facts.ignored:
            row.disable(
                tr(
                    "Not available for {format} files ({engine}).",
                    engine=facts.engine.split()[0],
                    format=facts.format,
                )
            )
        else:
            row.enable()


class MemorySpin(QDoubleSpinBox):
    """A field of MiB that shows and takes GB with one digit; what nobody types stays exact."""

    def textFromValue(self, value: float) -> str:
        return QLocale().toString(value / 1024, "f", 1)

    def valueFromText(self, text: str) -> float:
        if text == self.textFromValue(self.value()):
            return self.value()
        number, is_number = QLocale().toDouble(text.strip())
        return round(number * 1024) if is_number else self.value()

    def validate(self, text: str, place: int) -> tuple[QValidator.State, str, int]:
        _number, is_number = QLocale().toDouble(text.strip() or "0")
        state = QValidator.State
        return (state.Acceptable if is_number else state.Invalid), text, place


class NumberRow(SettingRow):
    """A slider over sensible steps and a field for any value in between."""

    def __init__(
        self,
        info: SettingInfo,
        steps: Sequence[float],
        bounds: tuple[float, float],
        decimals: int = 0,
    ) -> None:
        super().__init__(info)
        self._decimals = decimals
        in_gb = info.unit == "MiB"
        self.spin = with_properties(
            MemorySpin() if in_gb else QDoubleSpinBox(),
            decimals=decimals,
            groupSeparatorShown=True,
            keyboardTracking=False,
        )
        self.spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.spin.lineEdit().setTextMargins(0, 0, 5, 0)
        self.spin.setMinimumWidth(SPIN_PX)
        self.slider = StepSlider()
        self.slider.setTracking(False)  # what it passes on its way is shown, and not meant
        self._set_up(self.spin, self.slider)
        self._head.addWidget(self.spin)
        if info.unit:
            self._head.addWidget(text_label("GB" if in_gb else tr(info.unit), "unit"))
        self._box.addWidget(self.slider)
        self._box.addWidget(self.cost)
        self.set_steps(steps, bounds)
        self.spin.valueChanged.connect(self._on_changed)
        self.slider.valueChanged.connect(lambda at: self._on_changed(self._steps[at]))
        self.slider.sliderMoved.connect(self._on_moved)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Hand digits that are typed on the slider to the field."""
        text = event.text() if isinstance(event, QKeyEvent) else ""
        if (
            watched is self.slider
            and event.type() == QEvent.Type.KeyPress
            and text.isascii()
            and text.isdigit()
        ):
            self.spin.setFocus()
            self.spin.selectAll()
            QCoreApplication.sendEvent(self.spin, event)
            return True
        return super().eventFilter(watched, event)

    @property
    def value(self) -> float | int:
        number = self.spin.value()
        return number if self._decimals else round(number)

    def set_steps(self, steps: Sequence[float], bounds: tuple[float, float]) -> None:
        """Other steps and bounds; the value stays where it can. Emits nothing."""
        self._steps = tuple(steps)
        with QSignalBlocker(self.spin), QSignalBlocker(self.slider):
            self.spin.setRange(*bounds)
            self.slider.setRange(0, max(0, len(steps) - 1))
        self.slider.setPageStep(max(1, len(steps) // 8))
        self.spin.setSingleStep(steps[1] - steps[0] if len(steps) > 1 else 1.0)
        self.set_value(self.spin.value())

    def set_value(self, value: float) -> None:
        with QSignalBlocker(self.spin), QSignalBlocker(self.slider):
            if value > self.spin.maximum():
                self.spin.setMaximum(value)  # a value that was chosen elsewhere is shown as it is
            self.spin.setValue(value)
            self.slider.setValue(self._nearest(value))

    def _nearest(self, value: float) -> int:
        at = bisect_left(self._steps, value)
        near = [i for i in (at - 1, at) if 0 <= i < len(self._steps)]
        return min(near, key=lambda i: abs(self._steps[i] - value), default=0)

    @Slot(int)
    def _on_moved(self, at: int) -> None:
        with QSignalBlocker(self.spin):
            self.spin.setValue(self._steps[at])

    def _on_changed(self, value: float) -> None:
        self.set_value(value)
        self.changed.emit(self.value)


def number_row(rows: Mapping[str, SettingRow], key: str) -> NumberRow:
    """The row of a number."""
    row = rows[key]
    if not isinstance(row, NumberRow):
        raise TypeError(key)
    return row


class ChoiceRow(SettingRow):
    """A choice among a few values."""

    def __init__(self, info: SettingInfo, choices: Mapping[str, str]) -> None:
        """`choices` are the values with their texts."""
        super().__init__(info)
        self.combo = QComboBox()
        for value, text in choices.items():
            self.combo.addItem(text, value)
        self.combo.setMinimumWidth(SPIN_PX)
        self._put_in_head(self.combo)
        self.combo.activated.connect(self._on_set)

    @property
    def value(self) -> str:
        """The chosen value, not its label."""
        return str(self.combo.currentData())

    def set_value(self, value: str) -> None:
        if self.combo.findData(str(value)) < 0:  # given by name on the command line
            self.combo.addItem(str(value), str(value))
        self.combo.setCurrentIndex(self.combo.findData(str(value)))


class SwitchRow(SettingRow):
    """On or off."""

    def __init__(self, info: SettingInfo) -> None:
        super().__init__(info)
        self.check = QCheckBox()
        set_role(self.check, "bare")
        self._put_in_head(self.check)
        self.check.clicked.connect(self._on_set)

    @property
    def value(self) -> bool:
        return self.check.isChecked()

    def set_value(self, value: bool) -> None:
        self.check.setChecked(value)
