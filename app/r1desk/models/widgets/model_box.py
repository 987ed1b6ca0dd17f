"""Shows one model: a file in short, or the loaded one with its facts and the progress of a load."""

from PySide6.QtCore import QEvent, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import short_name
from deepseek_r1.core.units import format_size
from r1desk.chat.text import display_text
from r1desk.models.file_texts import breakable_address, chips
from r1desk.theme import explain, set_role
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.text_label import ElidedLabel, text_label

_PADDING_PX, _SPACING_PX = 12, 6
_MOST_CHIPS = 3


class FileSummary(QWidget):
    """The head of the chooser's detail pane, and of an offer of the first start."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = ElidedLabel(self)
        self.name.setProperty("role", "heading")
        self.purpose = text_label("")
        self.purpose.setWordWrap(True)
        self.chips = [text_label("", "badge") for _ in range(_MOST_CHIPS)]
        column = filled(QVBoxLayout(self), self.name, self.purpose, spacing=6)
        filled(put_inside(column, QHBoxLayout()), *self.chips, spacing=6).addStretch()

    def show_file(self, file: ModelFile | None) -> None:
        """Show a file; None for nothing."""
        title = display_text.prose(file.title) if file is not None else ""
        self.name.setText(title)
        explain(self.name, title)
        self.purpose.setText(file.known.purpose_text if file is not None and file.known else "")
        self.purpose.setVisible(bool(self.purpose.text()))
        facts = chips(file) if file is not None else []
        for chip, fact in zip(self.chips, [*facts, *[""] * _MOST_CHIPS], strict=False):
            chip.setText(fact)
            chip.setVisible(bool(fact))


class ModelBox(QFrame):
    """A card on top of the panel."""

    def __init__(self) -> None:
        super().__init__()
        set_role(self, "card")
        self.name = text_label(tr("No model"), "heading")
        self.name.setWordWrap(True)
        self.facts = text_label("", "dim")
        self.state = text_label("", "dim")
        self.progress = QProgressBar(textVisible=False, maximum=1000)
        self.progress.setAccessibleName(tr("Loading the model"))
        self.now_button = QPushButton(tr("Stop the answer and load now"))
        explain(self.now_button, tr("What is written of it stays."))
        parts = (self.name, self.facts, self.progress, self.state, self.now_button)
        filled(QVBoxLayout(self), *parts, spacing=_SPACING_PX, margins=(_PADDING_PX,) * 4)
        self._show_state("")
        self.facts.hide()
        self.progress.hide()
        self._fit_height()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and self.layout():
            self._fit_height()

    def _fit_height(self) -> None:
        """Keep the place of two lines below the name: facts, or the progress of a load."""
        two = 2 * self.facts.fontMetrics().lineSpacing() + _SPACING_PX
        border = self.contentsMargins()
        around = 2 * _PADDING_PX + border.top() + border.bottom()
        self.setMinimumHeight(self.name.sizeHint().height() + two + around)

    def show_loading(self, name: str, waiting_note: str = "") -> None:
        """A load began, or waits for the end of an answer: then with a way to end that now."""
        self.show_name(name)
        self.facts.hide()
        self.show_progress(0.0)
        if waiting_note:
            self.progress.hide()
            self._show_state(waiting_note)
            self.now_button.show()

    @Slot(float)
    def show_progress(self, fraction: float) -> None:
        """Show the fraction of the model that is read, 0 to 1."""
        self.progress.setValue(round(fraction * 1000))
        self.progress.show()
        self._show_state(tr("Loading: {percent} %", percent=round(fraction * 100)))

    def show_model(self, loaded: ModelLoaded) -> None:
        self._show_facts(loaded)
        self.progress.hide()
        self._show_state("")

    def show_failure(self, text: str, present: ModelLoaded | None = None) -> None:
        """The load failed, and why; `present` is the model that is there all the same."""
        self.progress.hide()
        if present is None:
            self._show_state(text, "danger")
            return
        self._show_facts(present)  # the reason must not look as if it were about this one
        self._show_state(tr("Still in use. The other model could not be loaded."), "warning")
        explain(self.state, text)

    def show_unloaded(self) -> None:
        """The model was unloaded; its name and facts stay."""
        self.progress.hide()
        self._show_state(tr("Unloaded. It reloads with your next message."))

    def _show_facts(self, loaded: ModelLoaded) -> None:
        self.show_name(short_name(loaded.facts.name))
        explain(self.name, loaded.facts.title)
        self.facts.setText(facts_text(loaded.facts))
        loaded_in = tr("Loaded in {seconds:.1f} s", seconds=loaded.load_s)
        explain(self.facts, f"{loaded.facts.path}\n{loaded.facts.engine}\n{loaded_in}")
        self.facts.show()

    def show_name(self, name: str) -> None:
        self.name.setText(breakable_address(name))  # file names have no spaces to break at

    def _show_state(self, text: str, role: str = "dim") -> None:
        self.now_button.hide()
        explain(self.state, "")
        self.state.setText(text)
        self.state.setVisible(bool(text))
        set_role(self.state, role)


def facts_text(facts: ModelFacts) -> str:
    """Quantisation, size, engine and context in one line or two."""
    size = format_size(round(facts.file_mib * 1024 * 1024))
    context = tr("Context {n:,} of {most:,}", n=facts.context_length, most=facts.context_trained)
    old = facts.format and not facts.format.startswith("GGUF")
    kind = f"{facts.format} {facts.architecture} · " if old else ""
    engine = facts.engine.split()[0]  # the build is in the tooltip: it would not fit the line
    return f"{kind}{facts.quantisation} · {size} · {engine}\n{context}"
