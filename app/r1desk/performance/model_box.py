"""The model that is loaded: its name and facts, how far a load is, what it is doing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
)

from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.words import tr
from r1desk.layouts import put_inside
from r1desk.performance.rows import label
from r1desk.theme import explain, icon, set_role


class ModelBox(QFrame):
    """A card on top of the panel.

    Signals:
        choose_requested: the user wants another model.
        model_chosen: the path of one of the known models.
    """

    choose_requested = Signal()
    model_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        set_role(self, "card")
        self.name = label(tr("No model"), "heading")
        self.name.setWordWrap(True)
        self.facts = label("", "dim")
        self.state = label("", "dim")
        self.progress = QProgressBar(textVisible=False)
        self.progress.setRange(0, 1000)
        self.progress.setAccessibleName(tr("Loading the model"))
        self.choose = QPushButton(icon("folder"), tr("Choose model…"))
        self.choose.clicked.connect(self.choose_requested)
        self.known = QPushButton(icon("chevron-down"), "")
        self.known.setAccessibleName(tr("Known models"))
        self.known.setToolTip(tr("Known models"))
        self.known.setFixedWidth(40)
        self.known.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 12)
        layout.setSpacing(6)
        for part in (self.name, self.facts, self.progress, self.state):
            layout.addWidget(part)
        buttons = put_inside(layout, QHBoxLayout())
        buttons.setSpacing(6)
        buttons.addWidget(self.choose, 1)
        buttons.addWidget(self.known)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._say("")
        self.facts.hide()
        self.progress.hide()

    def set_known(self, models: Sequence[tuple[str, str]]) -> None:
        """(words, path) of the models that are at hand."""
        menu = QMenu(self)
        for words, path in models:
            action = menu.addAction(words)
            action.triggered.connect(lambda _checked=False, path=path: self.model_chosen.emit(path))
        if (old := self.known.menu()) is not None:
            old.deleteLater()
        self.known.setMenu(menu)
        self.known.setVisible(bool(models))

    def show_loading(self, name: str) -> None:
        """A load began."""
        self._set_name(name)
        self.facts.hide()
        self.show_progress(0.0)

    def show_progress(self, fraction: float) -> None:
        """How much of the model is read, 0 to 1."""
        self.progress.setValue(round(fraction * 1000))
        self.progress.show()
        self._say(tr("Loading: {percent} %", percent=round(fraction * 100)))

    def show_model(self, loaded: ModelLoaded) -> None:
        """The model is ready."""
        self._show_facts(loaded)
        self.progress.hide()
        self._say(tr("Loaded in {seconds:.1f} s", seconds=loaded.load_s), "success")

    def show_failure(self, text: str, present: ModelLoaded | None = None) -> None:
        """The load failed, and why; `present` is the model that is there all the same."""
        self.progress.hide()
        if present is None:
            self._say(text, "danger")
            return
        self._show_facts(present)  # the reason must not look as if it were about this one
        self._say(tr("Still in use: the last load failed."), "warning")
        explain(self.state, text)

    def _show_facts(self, loaded: ModelLoaded) -> None:
        self._set_name(loaded.facts.name)
        self.facts.setText(facts_text(loaded.facts))
        explain(self.facts, loaded.facts.path)
        self.facts.show()

    def _set_name(self, name: str) -> None:
        # File names have no spaces to break at: let them break after their own separators.
        self.name.setText("\u200b".join(_broken(name, QFontMetrics(self.name.font()))))
        explain(self.name, name)

    def _say(self, text: str, role: str = "dim") -> None:
        explain(self.state, "")
        self.state.setText(text)
        self.state.setWordWrap(True)
        self.state.setVisible(bool(text))
        set_role(self.state, role)


def _broken(name: str, metrics: QFontMetrics) -> list[str]:
    if metrics.horizontalAdvance(name) < 240:
        return [name]
    parts = [""]
    for character in name:
        parts[-1] += character
        if character in "-_./" or len(parts[-1]) >= 20:
            parts.append("")
    return [part for part in parts if part]


def facts_text(facts: ModelFacts) -> str:
    """Quantisation, size, engine and context in one line or two."""
    size = (
        f"{facts.file_mib / 1024:.2f} GiB"
        if facts.file_mib >= 1024
        else f"{facts.file_mib:.0f} MiB"
    )
    context = tr("Context {n:,} of {most:,}", n=facts.context_length, most=facts.context_trained)
    old = facts.format and not facts.format.startswith("GGUF")
    kind = f"{facts.format} {facts.architecture} · " if old else ""
    return f"{kind}{facts.quantisation} · {size} · {facts.engine}\n{context}"
