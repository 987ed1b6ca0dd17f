"""The dialog that checks this computer and shows each finding with what to do."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QGridLayout, QLabel, QWidget

from deepseek_r1.checks import Finding, Severity, examine
from deepseek_r1.core.i18n import tr, trn
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, task
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import with_properties
from r1desk.widgets.text_label import selectable_label, text_label

_MARKS = {Severity.OK: "✓", Severity.NOTE: "·", Severity.WARNING: "!", Severity.PROBLEM: "✗"}
_ROLES = {Severity.OK: "success", Severity.WARNING: "warning", Severity.PROBLEM: "danger"}


class DoctorPage(BoundedDialog):
    """Examines the computer when it opens, in a thread of its own, and on request again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, tr("Check this computer"), QSize(620, 520))
        self.tasks = Tasks(self)
        self.findings: Sequence[Finding] = ()
        self.note = text_label("", "heading")
        action = QDialogButtonBox.ButtonRole.ActionRole
        self.again = self.buttons.addButton(tr("Check again"), action)
        self.again.clicked.connect(self.start)
        self.copy = self.buttons.addButton(tr("Copy"), action)
        self.copy.clicked.connect(self._on_copy)
        self.column.insertWidget(0, self.note)
        self.start()

    @task
    async def start(self) -> None:
        """Examine, from the beginning."""
        self.note.setText(tr("Checking…"))
        self.again.setEnabled(False)
        self.copy.setEnabled(False)
        self.findings = findings = await ask_in_background(examine)
        self.again.setEnabled(True)
        self.copy.setEnabled(True)
        troubles = sum(f.verdict in (Severity.WARNING, Severity.PROBLEM) for f in findings)
        self.note.setText(
            trn("{n} suggestion", "{n} suggestions", troubles)
            if troubles
            else tr("No problems found.")
        )
        self.set_body(_table(findings))

    @Slot()
    def _on_copy(self) -> None:
        lines = (
            f"{_MARKS[f.verdict]} {f.title}: {f.value} {f.todo}".rstrip() for f in self.findings
        )
        QGuiApplication.clipboard().setText("\n".join(lines))


def _table(findings: Sequence[Finding]) -> QWidget:
    table = QWidget()
    grid = with_properties(QGridLayout(table), horizontalSpacing=12, verticalSpacing=8)
    grid.setColumnStretch(2, 1)
    for row, finding in enumerate(findings):
        mark = QLabel(_MARKS[finding.verdict])
        set_role(mark, _ROLES.get(finding.verdict, "dim"))
        text = "\n".join(part for part in (finding.value, finding.todo) if part)
        value = selectable_label(text)
        value.setAccessibleName(f"{finding.title}: {text}")
        for column, part in enumerate((mark, text_label(finding.title), value)):
            grid.addWidget(part, row, column, Qt.AlignmentFlag.AlignTop)
    grid.setRowStretch(len(findings), 1)
    return table
