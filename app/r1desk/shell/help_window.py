"""The guides, offline: a list of them with a search, and the chosen one."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from PySide6.QtCore import QSize, Qt, QUrl, Slot
from PySide6.QtGui import (
    QColor,
    QTextBlock,
    QTextBlockFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextTable,
    QTextTableFormat,
)
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import current_language, tr
from deepseek_r1.core.paths import guides_dir
from r1desk.chat.presenters.link_dialog import ask_to_open
from r1desk.theme import tokens
from r1desk.widgets.bounded_dialog import size_within_screen
from r1desk.widgets.layouts import filled, put_inside

# Those about the window first; the others follow by their names.
_FIRST = ("conversations", "window", "thinking", "compare", "models", "plan", "drafts", "doctor")
_LINK = re.compile(r"\[([^\]]+)\]\(([^):]+)\)")
_LANGUAGE_LINE = re.compile(r"^\[[^\]]+\]\([^)]+\)\n", re.MULTILINE)


class HelpWindow(QDialog):
    """Shows the guides in the window's language; those that it lacks in English."""

    def __init__(self, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr("Help"))
        folder = guides_dir()
        files = {file.stem: file for file in folder.glob("*.md")}
        files |= {
            file.stem: file for file in (folder / current_language().replace("_", "-")).glob("*.md")
        }
        self._texts = {name: _guide(file) for name, file in files.items()}
        self.search = QLineEdit(placeholderText=tr("Find in all guides"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Find in all guides"))
        self.search.textChanged.connect(self._on_search)
        self.search.returnPressed.connect(self._find_next)
        self.guides = QListWidget(wordWrap=True, spacing=3)
        self.guides.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.guides.setAccessibleName(tr("Guides"))
        self.guides.currentItemChanged.connect(self._on_guide)
        self.page = QTextBrowser(openLinks=False)
        self.page.setAccessibleName(tr("Guide"))
        self.page.anchorClicked.connect(self._on_link)
        row = filled(QHBoxLayout(self), spacing=12, margins=(12, 12, 12, 12))
        filled(put_inside(row, QVBoxLayout()), self.search, self.guides, spacing=8)
        row.addWidget(self.page)
        row.setStretch(0, 2)
        row.setStretch(1, 5)
        order = {name: place for place, name in enumerate(_FIRST)}
        for name in sorted(self._texts, key=lambda each: (order.get(each, len(order)), each)):
            title = self._texts[name].partition("\n")[0].strip("# `")
            item = QListWidgetItem(title.replace("`", ""), self.guides)
            item.setData(Qt.ItemDataRole.UserRole, name)
        self.guides.setCurrentRow(0)
        self.resize(size_within_screen(self, QSize(980, 680)))

    @Slot(str)
    def _on_search(self, wanted: str) -> None:
        """Keep the guides that have it, and go to its first place."""
        for item in self._items():
            text = self._texts[item.data(Qt.ItemDataRole.UserRole)]
            item.setHidden(wanted.casefold() not in text.casefold())
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
        row, items = self.guides.currentRow() + 1, self._items()
        found = [item for item in items[row:] + items[:row] if not item.isHidden()]
        if found:
            self.guides.setCurrentItem(found[0])

    def _items(self) -> list[QListWidgetItem]:
        return [self.guides.item(row) for row in range(self.guides.count())]

    @Slot(QListWidgetItem)
    def _on_guide(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            page = self.page.document()
            features = QTextDocument.MarkdownFeature
            text = self._texts[item.data(Qt.ItemDataRole.UserRole)]
            page.setMarkdown(text, features.MarkdownDialectGitHub | features.MarkdownNoHTML)
            _calm(page)
            self._find_first()

    @Slot(QUrl)
    def _on_link(self, url: QUrl) -> None:
        if url.scheme():
            ask_to_open(url.toString(), self, tr("Open this address in your browser?"))
            return
        name = PurePosixPath(url.path()).stem
        for item in self._items():
            if item.data(Qt.ItemDataRole.UserRole) == name:
                self.search.clear()
                self.guides.setCurrentItem(item)
        for block in _blocks(self.page.document()):
            heading = re.sub(r"[^\w -]", "", block.text().lower()).replace(" ", "-")
            if block.blockFormat().headingLevel() and heading == url.fragment():
                place = self.page.document().documentLayout().blockBoundingRect(block).top()
                self.page.verticalScrollBar().setValue(round(place))


def _guide(file: Path) -> str:
    """Its text; links to other pages than guides are text alone."""

    def kept(link: re.Match[str]) -> str:
        target = (file.parent / link[2].partition("#")[0]).resolve()
        return link[0] if guides_dir().resolve() in target.parents else link[1]

    return _LINK.sub(kept, _LANGUAGE_LINE.sub("", file.read_text(encoding="utf-8"), count=1))


def _blocks(page: QTextDocument) -> list[QTextBlock]:
    blocks, block = [], page.begin()
    while block.isValid():
        blocks.append(block)
        block = block.next()
    return blocks


def _calm(page: QTextDocument) -> None:
    """Space around lines, tables with thin lines, code on a tint."""
    colours = tokens()
    page.setDocumentMargin(24)
    cursor = QTextCursor(page)
    cursor.select(QTextCursor.SelectionType.Document)
    lines = QTextBlockFormat()
    lines.setLineHeight(125, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    cursor.mergeBlockFormat(lines)
    code = QTextBlockFormat()
    code.setBackground(QColor(colours.code_background))
    heading = QTextBlockFormat()
    heading.setTopMargin(20)
    for block in _blocks(page):
        if block.blockFormat().headingLevel() > 1:
            QTextCursor(block).mergeBlockFormat(heading)
        if block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence):
            QTextCursor(block).mergeBlockFormat(code)
    for table in page.rootFrame().childFrames():
        if isinstance(table, QTextTable):
            shape = table.format()
            shape.setBorderStyle(QTextTableFormat.BorderStyle.BorderStyle_Solid)
            shape.setBorderBrush(QColor(colours.border))
            shape.setBorder(1)
            shape.setBorderCollapse(True)
            shape.setCellPadding(6)
            table.setFormat(shape)
