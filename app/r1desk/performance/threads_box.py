"""Thread counts measured for the loaded model: what was found, and a button to find it."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.events import ThreadsMeasured
from deepseek_r1.core.words import N_, tr
from r1desk.layouts import put_inside
from r1desk.performance.rows import label
from r1desk.theme import explain

_HELP = N_("Tries thread counts with the loaded model for about 20 seconds and keeps the best.")


class ThreadsBox(QWidget):
    """Nothing is computed before the button is pressed."""

    measure_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text = label("", "dim")
        self.button = QPushButton(tr("Measure threads"))
        explain(
            self.button,
            tr(
                "Tries thread counts with the loaded model for about 20 seconds and keeps the best."
            ),
        )
        self.button.clicked.connect(self._on_clicked)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.text)
        row = put_inside(column, QHBoxLayout())
        row.addWidget(self.button)
        row.addStretch(1)
        self.show_measured(None, loaded=False)

    def show_measured(self, measured: ThreadsMeasured | None, *, loaded: bool = True) -> None:
        """What was found for the model; None where nothing was. Without a model no button."""
        self.button.setEnabled(loaded)
        if measured is None:
            self.text.setText(tr("Automatic threads follow the load of the machine."))
            return
        self.text.setText(
            tr(
                "Measured: {threads} for writing ({written:.1f} tokens a second), {all} for "
                "reading ({read:.0f}). Automatic starts from there and follows the load.",
                threads=measured.threads,
                all=measured.threads_prefill,
                written=measured.decode_tok_s.get(measured.threads, 0.0),
                read=measured.prefill_tok_s.get(measured.threads_prefill, 0.0),
            )
        )

    def show_failed(self, text: str) -> None:
        """It could not be measured, and why."""
        self.button.setEnabled(True)
        self.text.setText(text)

    @Slot()
    def _on_clicked(self) -> None:
        self.button.setEnabled(False)
        self.text.setText(tr("Measuring…"))
        self.measure_requested.emit()
