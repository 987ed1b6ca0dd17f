"""The passages of documents that an answer was given: one line, and all of them when opened."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import Source
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import text_button
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import OpenAttachment, Request
from r1desk.store import AnswerSources
from r1desk.theme.fonts import scaled
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import FittedWidget, discard, filled

_MOST = 40  # widgets
_TOOLTIP = 600  # characters


class SourcesRow(FittedWidget):
    """A header button; below it, when open, a button for each passage, which shows it.

    Signals:
        grown: the height has changed.
    """

    grown = Signal()

    def __init__(
        self, sources: AnswerSources, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._sources, self._style, self._request = sources, style, request
        self.header = text_button("chevron-right", sources.summary(), self)
        self.header.setFont(scaled(style.font, 0.9))
        self.header.clicked.connect(self._on_clicked)
        self.buttons: list[QToolButton] = []
        self._column = filled(QVBoxLayout(self), spacing=0)
        self._column.addWidget(self.header, 0, Qt.AlignmentFlag.AlignLeft)

    @Slot()
    def _on_clicked(self) -> None:
        opened = not self.buttons
        self.header.setIcon(icon("chevron-down" if opened else "chevron-right", "text_dim"))
        if opened:
            names = self._sources.names()
            for source in self._sources.shown()[:_MOST]:
                self._add(source, names[source.n])
        else:
            discard(*self.buttons)
            self.buttons = []
        self.grown.emit()

    def _add(self, source: Source, name: str) -> None:
        label = f"[{source.n}] {name}"
        cited = tr("cited") if source.cited else tr("not cited")
        button = text_button("file", f"{fit.code(label)} · {cited}", self)
        button.setFont(self.header.font())
        button.setToolTip(fit.plain_tooltip(source.passage.text[:_TOOLTIP]))
        button.clicked.connect(lambda: self._request(OpenAttachment(source.passage)))
        self._column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        button.show()
        self.buttons.append(button)
