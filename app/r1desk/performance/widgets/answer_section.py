"""The settings of answers, the system prompt, and what is ready before the next message."""

from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.events import PromptCacheState
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import PromptCacheSettings, SamplingSettings
from deepseek_r1.core.units import format_mib
from r1desk.performance.widgets.setting_rows import (
    NumberRow,
    SettingRow,
    SwitchRow,
    even_steps,
    power_steps,
)
from r1desk.theme import explain
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import call_with, text_label

DELAY_MS = 300
# The settings that have a row, in their order, with the steps of the slider.
_STEPS = {
    "temperature": even_steps(0.0, 2.0, 0.05),
    "top_p": even_steps(0.0, 1.0, 0.01),
    "top_k": (0, *power_steps(1, 1000)),
    "min_p": even_steps(0.0, 1.0, 0.01),
    "repeat_penalty": even_steps(1.0, 2.0, 0.01),
    "max_tokens": power_steps(64, 65_536),
    "seed": (-1,),
}


class AnswerSection(QObject):
    """Owns the rows of `SamplingSettings`, a reset, and the text before every conversation."""

    # `SamplingSettings` and the system prompt, shortly after the last change
    changed = Signal(object, str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.settings = SamplingSettings()
        self.system_prompt = ""
        self.rows = _create_rows()
        self.reset = QPushButton(tr("Reset"))
        explain(self.reset, tr("Restore the defaults."))
        call_with(self.reset.clicked, self.change, **SamplingSettings().model_dump())
        for key, row in self.rows.items():
            row.show_cost(tr(row.info.help))
            row.changed.connect(lambda value, key=key: self.change(**{key: value}))
        self._delay = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._delay.timeout.connect(self._report)
        self.editor = QPlainTextEdit(tabChangesFocus=True, placeholderText=tr("Empty"))
        self.editor.setFixedHeight(96)
        note = tr("For R1, DeepSeek recommends leaving this empty.")
        self.editor.setAccessibleName(tr("Instructions"))
        self.editor.setAccessibleDescription(note)
        self.editor.textChanged.connect(self._on_typed)
        self.prompt_box = QWidget()
        filled(QVBoxLayout(self.prompt_box), self.editor, text_label(note, "dim"), spacing=6)
        self.show_settings(self.settings, "")

    @Slot(object, str)
    def show_settings(self, sampling: SamplingSettings, system_prompt: str) -> None:
        """Show the settings of another conversation, and emit nothing."""
        self._show_sampling(sampling)
        if system_prompt != self.editor.toPlainText():
            self.editor.setPlainText(system_prompt)
        self.system_prompt = system_prompt
        self._delay.stop()

    def _show_sampling(self, settings: SamplingSettings) -> None:
        self.settings = settings
        for key, row in self.rows.items():
            row.set_value(getattr(settings, key))

    @Slot()
    def flush(self) -> None:
        """Report changes that are still delayed: another conversation is about to be shown."""
        if self._delay.isActive():
            self._delay.stop()
            self._report()

    @Slot()
    def _report(self) -> None:
        self.changed.emit(self.settings, self.system_prompt)

    def change(self, **changes: object) -> None:
        """The user set something."""
        changed = SamplingSettings.model_validate(self.settings.model_dump() | changes)
        if changed != self.settings:
            self._show_sampling(changed)
            self._delay.start()

    @Slot()
    def _on_typed(self) -> None:
        self.system_prompt = self.editor.toPlainText()
        self._delay.start()


def _create_rows() -> dict[str, SettingRow]:
    settings = SamplingSettings
    rows = {}
    for key, steps in _STEPS.items():
        decimals = 2 if settings.model_fields[key].annotation is float else 0
        rows[key] = NumberRow(settings.info(key), steps, settings.bounds(key), decimals=decimals)
    seed = rows["seed"]
    seed.slider.hide()
    seed.spin.setGroupSeparatorShown(False)
    seed.spin.setSpecialValueText(tr("random"))
    return {**rows, "end_repetition": SwitchRow(settings.info("end_repetition"))}


SETTLED_MS = 400


class NextTurnSection(QWidget):
    """Shows `PromptCacheSettings` and what the disk holds."""

    settings_changed = Signal(object)  # 400 ms after the last change, with all settings

    def __init__(self) -> None:
        super().__init__()
        info, bounds = PromptCacheSettings.info, PromptCacheSettings.bounds("disk_mib")
        disk = NumberRow(info("disk_mib"), (0, *power_steps(256, int(bounds[1]))), bounds)
        disk.spin.setSpecialValueText(tr("Off"))
        self.rows: dict[str, SettingRow] = {
            "disk_mib": disk,
            "prepare_next_turn": SwitchRow(info("prepare_next_turn")),
        }
        filled(QVBoxLayout(self), *self.rows.values(), spacing=14)
        for key, row in self.rows.items():
            row.changed.connect(partial(self._on_changed, key))
        self.rows["prepare_next_turn"].show_cost(tr(info("prepare_next_turn").help))
        self._delay = QTimer(self, singleShot=True, interval=SETTLED_MS)
        self._delay.timeout.connect(self._on_settled)
        self.set_settings(PromptCacheSettings())
        self.show_state(None)

    def set_settings(self, settings: PromptCacheSettings) -> None:
        """Show the settings in force. Emits nothing."""
        self.settings = settings
        for key, row in self.rows.items():
            row.set_value(getattr(settings, key))

    @Slot(object)
    def show_state(self, state: PromptCacheState | None) -> None:
        """Show what the disk holds, or why it holds nothing."""
        row = self.rows["disk_mib"]
        if state is None:
            text = tr(row.info.help)
        elif state.problem:
            text = tr("Chats cannot be kept ready: {problem}", problem=state.problem)
        else:
            text = tr(
                "{used} on the disk, {written} written today",
                used=format_mib(state.disk_mib),
                written=format_mib(state.written_today_mib),
            )
            if state.checkpoints_mib:
                text += "\n" + tr(
                    "{memory} of it checkpoints", memory=format_mib(state.checkpoints_mib)
                )
        row.show_cost(text)

    @Slot()
    def _on_settled(self) -> None:
        self.settings_changed.emit(self.settings)

    def _on_changed(self, key: str, value: object) -> None:
        self.settings = self.settings.model_copy(update={key: value})
        self._delay.start()
