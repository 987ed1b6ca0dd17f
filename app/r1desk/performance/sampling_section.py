"""How the next token is chosen, and the system prompt. In force with the next answer."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.core.words import tr
from r1desk.layouts import put_inside
from r1desk.performance.rows import NumberRow, label
from r1desk.performance.steps import even_steps, power_steps
from r1desk.theme import explain

DELAY_MS = 300
R1_ADVICE = {"temperature": 0.6, "top_p": 0.95}  # DeepSeek's model card


class SamplingSection(QWidget):
    """Rows of `SamplingSettings`, a preset and a reset.

    Signals:
        sampling_changed: the new `SamplingSettings`, shortly after the last change.
    """

    sampling_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.settings = SamplingSettings()
        self.rows = _create_rows()
        self.preset = QPushButton(tr("DeepSeek-R1 (0.6 / 0.95)"))
        explain(self.preset, tr("The temperature and top-p that DeepSeek advises for R1."))
        self.preset.clicked.connect(self._on_preset)
        self.reset = QPushButton(tr("Reset"))
        explain(self.reset, tr("All of these as they were at first."))
        self.reset.clicked.connect(self._on_reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        buttons = put_inside(layout, QHBoxLayout())
        buttons.setSpacing(6)
        buttons.addWidget(self.preset, 1)
        buttons.addWidget(self.reset)
        for key, row in self.rows.items():
            layout.addWidget(row)
            row.changed.connect(_Route(self, key).on_changed)
        self._delay = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._delay.timeout.connect(lambda: self.sampling_changed.emit(self.settings))
        self.set_sampling(self.settings)

    def set_sampling(self, settings: SamplingSettings) -> None:
        """Show `settings` and emit nothing."""
        self.settings = settings
        self._delay.stop()
        for key, row in self.rows.items():
            row.set_value(getattr(settings, key))

    def change(self, **changes: object) -> None:
        """The user set something."""
        changed = SamplingSettings.model_validate(self.settings.model_dump() | changes)
        if changed != self.settings:
            self.set_sampling(changed)
            self._delay.start()

    @Slot()
    def _on_preset(self) -> None:
        self.change(**R1_ADVICE)

    @Slot()
    def _on_reset(self) -> None:
        self.change(**SamplingSettings().model_dump())


class _Route(QObject):
    """Carries one row's change to the section, with the row's key."""

    def __init__(self, section: SamplingSection, key: str) -> None:
        super().__init__(section)
        self._section = section
        self._key = key

    @Slot(object)
    def on_changed(self, value: object) -> None:
        self._section.change(**{self._key: value})


def _create_rows() -> dict[str, NumberRow]:
    words, bounds = SamplingSettings.words, SamplingSettings.bounds
    tenths = {"temperature": (0.0, 2.0, 0.05), "top_p": (0.0, 1.0, 0.01), "min_p": (0.0, 1.0, 0.01)}
    rows = {
        key: NumberRow(words(key), even_steps(*scale), bounds(key), decimals=2)
        for key, scale in tenths.items()
    }
    rows["top_k"] = NumberRow(words("top_k"), (0, *power_steps(1, 1000)), bounds("top_k"))
    rows["repeat_penalty"] = NumberRow(
        words("repeat_penalty"), even_steps(1.0, 2.0, 0.01), bounds("repeat_penalty"), decimals=2
    )
    rows["max_tokens"] = NumberRow(
        words("max_tokens"), power_steps(64, 65_536), bounds("max_tokens")
    )
    seed = NumberRow(words("seed"), (-1,), bounds("seed"))
    seed.slider.hide()
    seed.spin.setGroupSeparatorShown(False)
    seed.spin.setSpecialValueText(tr("random"))
    rows["seed"] = seed
    order = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "seed")
    for row in rows.values():
        row.show_cost(tr(row.words.help))
    return {key: rows[key] for key in order}


class SystemPrompt(QWidget):
    """The text before every conversation.

    Signals:
        system_prompt_changed: the text, shortly after the last key.
    """

    system_prompt_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.editor = QPlainTextEdit()
        self.editor.setTabChangesFocus(True)
        self.editor.setFixedHeight(96)
        self.editor.setPlaceholderText(tr("Empty"))
        note = tr(
            "DeepSeek advises to leave this empty for R1 and to put everything in the message."
        )
        self.editor.setAccessibleName(tr("System prompt"))
        self.editor.setAccessibleDescription(note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.editor)
        layout.addWidget(label(note, "dim"))
        self._delay = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._delay.timeout.connect(
            lambda: self.system_prompt_changed.emit(self.editor.toPlainText())
        )
        self.editor.textChanged.connect(self._delay.start)

    def set_text(self, text: str) -> None:
        """Show `text` and emit nothing."""
        if text != self.editor.toPlainText():
            self.editor.setPlainText(text)
        self._delay.stop()
