"""The settings of what is ready before the next message."""

from functools import partial

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from deepseek_r1.core.events import PromptCacheState
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import PromptCacheSettings
from deepseek_r1.core.units import format_mib
from r1desk.performance.widgets.setting_rows import NumberRow, SettingRow, SwitchRow, power_steps
from r1desk.widgets.layouts import filled

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
