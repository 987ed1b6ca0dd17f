"""The memory of a conversation: the fill of the context, and what is ready beforehand."""

from functools import partial

from PySide6.QtCore import QRectF, QTimer, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from deepseek_r1.core.events import PromptCacheState
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import PromptCacheSettings
from deepseek_r1.core.units import format_mib
from r1desk.chat.values.prompt import PromptSize
from r1desk.performance.hints import format_context_left
from r1desk.performance.widgets.meters import Picture, draw_bar, level_colour
from r1desk.performance.widgets.setting_rows import NumberRow, SettingRow, SwitchRow, power_steps
from r1desk.theme import tokens
from r1desk.widgets.layouts import filled
from r1desk.widgets.text_label import text_label

SETTLED_MS = 400


class ContextMeter(QWidget):
    """The tokens of the conversation on the screen, against what the model can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.text = text_label("", "dim")
        self._bar = _Bar()
        heading = text_label(tr("This chat"), "heading")
        filled(QVBoxLayout(self), heading, self._bar, self.text, spacing=6)
        self.show_size(None)

    @Slot(object)
    def show_size(self, size: PromptSize | None) -> None:
        """Show the tokens in use; None without a model."""
        used, length = (size.used, size.context) if size is not None else (0, 0)
        text = format_context_left(used, length, size.reserve if size is not None else 0)
        if text != self.text.text():
            self.text.setText(text)
            self._bar.setAccessibleName(text)
        self._bar.show_picture(used / length if length else 0.0)


class _Bar(Picture):
    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fraction = self.shown or 0.0
        draw_bar(painter, QRectF(self.rect()), fraction, level_colour(fraction, tokens()))
        painter.end()


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
