"""What the checks of this computer found, each with what to do."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.checks import Finding, Verdict, examine
from deepseek_r1.core.words import tr
from r1desk.background import in_background
from r1desk.theme import set_role

_MARKS = {Verdict.OK: "✓", Verdict.NOTE: "·", Verdict.WARNING: "!", Verdict.PROBLEM: "✗"}
_ROLES = {Verdict.OK: "success", Verdict.WARNING: "warning", Verdict.PROBLEM: "danger"}


class DoctorPage(QDialog):
    """Examines the computer when it opens, in a thread of its own, and on request again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr("Check this computer"))
        self.resize(620, 520)
        self.findings: Sequence[Finding] = ()
        self.note = QLabel(wordWrap=True)
        self._area = QScrollArea(widgetResizable=True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self.again = QPushButton(tr("Check again"))
        self.again.clicked.connect(self.start)
        self.copy = QPushButton(tr("Copy"))
        self.copy.clicked.connect(self._on_copy)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.again, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        set_role(self.note, "heading")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 14, 14, 14)
        layout.setSpacing(10)
        for part in (self.note, self._area, buttons):
            layout.addWidget(part)
        self._examiner = _Examiner()
        self._examiner.found.connect(self._on_found, Qt.ConnectionType.QueuedConnection)
        self.start()

    @Slot()
    def start(self) -> None:
        """Examine, from the beginning."""
        self.note.setText(tr("Looking…"))
        self.again.setEnabled(False)
        self.copy.setEnabled(False)
        in_background(self._examiner, self._examiner.examine)

    @Slot(tuple)
    def _on_found(self, findings: Sequence[Finding]) -> None:
        self.findings = findings
        self.again.setEnabled(True)
        self.copy.setEnabled(True)
        troubles = sum(f.verdict in (Verdict.WARNING, Verdict.PROBLEM) for f in findings)
        self.note.setText(
            tr("What could be better: {n}", n=troubles) if troubles else tr("All is well.")
        )
        self._area.setWidget(_table(findings))

    @Slot()
    def _on_copy(self) -> None:
        lines = (
            f"{_MARKS[f.verdict]} {f.title}: {f.value} {f.todo}".rstrip() for f in self.findings
        )
        QGuiApplication.clipboard().setText("\n".join(lines))


def _table(findings: Sequence[Finding]) -> QWidget:
    table = QWidget()
    grid = QGridLayout(table)
    grid.setColumnStretch(2, 1)
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(8)
    for row, finding in enumerate(findings):
        mark = QLabel(_MARKS[finding.verdict])
        set_role(mark, _ROLES.get(finding.verdict, "dim"))
        text = "\n".join(part for part in (finding.value, finding.todo) if part)
        value = QLabel(text, wordWrap=True)
        value.setTextFormat(Qt.TextFormat.PlainText)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        value.setAccessibleName(f"{finding.title}: {text}")
        title = QLabel(finding.title)
        title.setTextFormat(Qt.TextFormat.PlainText)
        for column, part in enumerate((mark, title, value)):
            grid.addWidget(part, row, column, Qt.AlignmentFlag.AlignTop)
    grid.setRowStretch(len(findings), 1)
    return table


class _Examiner(QObject):
    """Without a parent: the page may be closed before everything is examined."""

    found = Signal(tuple)  # of Finding; emitted in a thread of its own

    def examine(self) -> None:
        """Examine, then emit `found` once."""
        self.found.emit(examine())
