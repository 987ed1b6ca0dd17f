"""The guides, offline, with a search; and the check of this computer."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from markdown_it import MarkdownIt
from PySide6.QtCore import QRegularExpression, QSize, Qt, QUrl, Slot
from PySide6.QtGui import QGuiApplication, QTextCursor, QTextDocument
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.checks import Finding, Severity, examine
from deepseek_r1.core.i18n import current_language, tr, trn
from deepseek_r1.core.paths import guides_dir
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, task
from r1desk.theme import fonts, set_role, tokens
from r1desk.widgets.bounded_dialog import BoundedDialog, ask_to_open, size_within_screen
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import selectable_label, text_label

# Those about the window first; the others follow by their names.
_FIRST = (
    *("start", "conversations", "documents", "window", "thinking", "compare", "models", "plan"),
    *("drafts", "serve", "doctor", "install"),
)
_LINK = re.compile(r"\[([^\]]+)\]\(([^):]+)\)")
_LANGUAGE_LINE = re.compile(r"^\[[^\]]+\]\([^)]+\)\n", re.MULTILINE)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_ANY_CASE = (
    QRegularExpression.PatternOption.CaseInsensitiveOption
    | QRegularExpression.PatternOption.UseUnicodePropertiesOption
)
_STYLE = """
    h1, h2, h3, p, li, td, th {{ line-height: 125%; }}
    h2, h3 {{ margin-top: 20px; }}
    table {{ margin-top: 12px; border: 1px solid {border}; border-collapse: collapse; }}
    td, th {{ border: 1px solid {border}; padding: 6px; }}
    pre {{ background-color: {code}; white-space: pre-wrap; }}
    code, pre {{ font-family: {mono}; }}
"""


class HelpWindow(QDialog):
    """Shows the guides in the window's language; those that it lacks in English."""

    def __init__(self, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr("Help"))
        self.search = QLineEdit(placeholderText=tr("Find in all guides"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Find in all guides"))
        self.search.textChanged.connect(self._on_search)
        self.search.returnPressed.connect(self._find_next)
        self.guides = with_properties(
            QListWidget(), wordWrap=True, spacing=3, accessibleName=tr("Guides")
        )
        self.guides.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.guides.currentItemChanged.connect(self._on_guide)
        self.page = with_properties(QTextBrowser(), openLinks=False, accessibleName=tr("Guide"))
        self.page.anchorClicked.connect(self._on_link)
        self.page.document().setDocumentMargin(24)
        mono, colours = ",".join(fonts.mono(self.font()).families()), tokens()
        style = _STYLE.format(border=colours.border, code=colours.code_background, mono=mono)
        self.page.document().setDefaultStyleSheet(style)
        row = filled(QHBoxLayout(self), spacing=12, margins=(12, 12, 12, 12))
        filled(put_inside(row, QVBoxLayout()), self.search, self.guides, spacing=8)
        row.addWidget(self.page)
        row.setStretch(0, 2)
        row.setStretch(1, 5)
        self._texts: dict[str, str] = {}
        self._items: dict[str, QListWidgetItem] = {}
        self.resize(size_within_screen(self, QSize(980, 680)))
        self.tasks = Tasks(self)
        self._list_guides()

    @task
    async def _list_guides(self) -> None:
        """List the guides, and show the first that has what is typed by now."""
        self._texts = await ask_in_background(_guides)  # a cold disk takes its time
        order = {name: place for place, name in enumerate(_FIRST)}
        for name in sorted(self._texts, key=lambda each: (order.get(each, len(order)), each)):
            title = self._texts[name].partition("\n")[0].strip("# `")
            self._items[name] = QListWidgetItem(title.replace("`", ""), self.guides)
            self._items[name].setData(Qt.ItemDataRole.UserRole, name)
        self.guides.setCurrentRow(0)
        self._on_search(self.search.text())

    @Slot(str)
    def _on_search(self, wanted: str) -> None:
        """Keep the guides that have it, and go to its first place."""
        for name, item in self._items.items():
            item.setHidden(wanted.casefold() not in self._texts[name].casefold())
        current = self.guides.currentItem()
        if current is not None and current.isHidden():
            self._show_next_guide()
        self._find_first()

    def _find_first(self) -> None:
        self.page.moveCursor(QTextCursor.MoveOperation.Start)
        self.page.find(self.search.text())

    @Slot()
    def _find_next(self) -> None:
        if not self.page.find(self.search.text()):
            self._show_next_guide()
            self._find_first()

    def _show_next_guide(self) -> None:
        """The next of those that have what is searched for, after the last the first."""
        row, items = self.guides.currentRow() + 1, list(self._items.values())
        found = [item for item in items[row:] + items[:row] if not item.isHidden()]
        if found:
            self.guides.setCurrentItem(found[0])

    @Slot(QListWidgetItem)
    def _on_guide(self, item: QListWidgetItem) -> None:
        text = self._texts[item.data(Qt.ItemDataRole.UserRole)]
        page = _MARKDOWN.render(text).replace("\n</code></pre>", "</code></pre>")  # a line for Qt
        self.page.setHtml(page)
        self._find_first()

    @Slot(QUrl)
    def _on_link(self, url: QUrl) -> None:
        if url.scheme():
            ask_to_open(url.toString(), self, tr("Open this address in your browser?"))
            return
        if item := self._items.get(PurePosixPath(url.path()).stem):
            self.search.clear()
            self.guides.setCurrentItem(item)
        if url.hasFragment():  # the letters of a heading
            heading = r"^\W*" + r"\W*".join(re.findall(r"\w", url.fragment())) + r"\W*$"
            self.page.moveCursor(QTextCursor.MoveOperation.End)  # it comes to the top from there
            self.page.find(
                QRegularExpression(heading, _ANY_CASE), QTextDocument.FindFlag.FindBackward
            )


def _guides() -> dict[str, str]:
    """The guides by their names, in the window's language where there is a translation."""
    translated = guides_dir() / current_language().replace("_", "-")
    files = [*guides_dir().glob("*.md"), *translated.glob("*.md")]
    return {file.stem: _guide(file) for file in files}


def _guide(file: Path) -> str:
    """Its text; links to other pages than guides are text alone."""

    def kept(link: re.Match[str]) -> str:
        target = (file.parent / link[2].partition("#")[0]).resolve()
        return link[0] if guides_dir().resolve() in target.parents else link[1]

    return _LINK.sub(kept, _LANGUAGE_LINE.sub("", file.read_text(encoding="utf-8"), count=1))


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
