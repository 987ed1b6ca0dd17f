"""The thread counts measured for the loaded model, and a button to measure them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from deepseek_r1.core.events import ThreadsMeasured
from deepseek_r1.core.i18n import tr
from r1desk.theme import explain
from r1desk.widgets.text_label import text_label


class ThreadsBox(QWidget):
    """Shows measured thread counts; measures nothing before its button is pressed."""

    measure_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text = text_label("", "dim")
        self.button = QPushButton(tr("Find the fastest"))
        explain(
            self.button,
            tr(
                "Tries thread counts with the loaded model for about 20 seconds and keeps the best."
            ),
        )
        self.button.clicked.connect(self._on_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.text, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        self.show_measured(None, loaded=False)

    def show_measured(self, measured: ThreadsMeasured | None, *, loaded: bool = True) -> None:
        """Show what was measured; None where nothing was. Nothing is measured without a model."""
        self.button.setEnabled(loaded)
        if measured is None:
            self.text.setText(tr("Speed: automatic, follows the load of this computer."))
            return
        self.text.setText(
            tr(
                "Fastest threads: {threads} for writing ({written:.1f} tokens a second), {all} for "
                "reading ({read:.0f}). Automatic starts from there and follows the load.",
                threads=measured.threads,
                all=measured.threads_prefill,
                written=measured.decode_tok_s.get(measured.threads, 0.0),
                read=measured.prefill_tok_s.get(measured.threads_prefill, 0.0),
            )
        )

    def show_failed(self, text: str) -> None:
        """Show why nothing could be measured."""
        self.button.setEnabled(True)
        self.text.setText(text)

    @Slot()
    def _on_clicked(self) -> None:
        self.button.setEnabled(False)
        self.text.setText(tr("Measuring, about 20 seconds once no answer is being written…"))
        self.measure_requested.emit()
