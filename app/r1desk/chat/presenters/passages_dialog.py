"""The passages that a question was sent with: unticked, added to, and sent again."""

from collections.abc import Collection, Iterable

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt, Slot
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QFont,
    QPainter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialogButtonBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import join_list, tr, trn
from deepseek_r1.documents.document import Passage
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.passages import excerpt, matched_terms
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.messages.text_finder import FindField
from r1desk.chat.text import display_text as fit
from r1desk.platform.tasks import Tasks, task
from r1desk.store import AnswerSources
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.text_label import push_button, text_label

_SUITED = QSize(720, 520)
_SHOWN_CHARACTERS = 220
_TOOLTIP_CHARACTERS = 1_500
_TICKED, _UNTICKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked
_PASSAGE = Qt.ItemDataRole.UserRole
_Index = QModelIndex | QPersistentModelIndex
MARKS_ROLE = Qt.ItemDataRole.UserRole + 1  # (start, end) of each bold word in the item's text


class PassagesDialog(BoundedDialog):
    """Lists passages with a box each; a search adds others."""

    def __init__(
        self,
        sources: AnswerSources,
        question: str,
        documents: ChatDocuments,
        among: Collection[str],
        parent: QWidget,
    ) -> None:
        """`among` are the hashes of all documents that the question is about."""
        super().__init__(parent, tr("Passages for this question"), _SUITED)
        self._documents, self._among = documents, among
        self.tasks = Tasks(self)
        column = self.fill_column(spacing=8)
        self._question = question
        asked = " ".join(question[:_SHOWN_CHARACTERS].split())
        label = text_label(fit.prose(asked))
        label.setWordWrap(True)
        column.addWidget(label)
        text = tr("Untick what does not matter, or look for more, and ask again with the rest.")
        column.addWidget(text_label(text, "dim"))
        self.list = with_properties(QListWidget(), wordWrap=True, spacing=3)
        self.list.setItemDelegate(MarkedItems(self.list))
        self.list.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.list.setAccessibleName(tr("Passages"))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemChanged.connect(self._on_changed)
        self.list.itemPressed.connect(self._on_pressed)
        self.list.itemClicked.connect(self._on_clicked)
        column.addWidget(self.list, 1)
        row = put_inside(column, QHBoxLayout())
        self.query = FindField(tr("Look for other passages"), self)  # whose Enter sends nothing
        self.query.stepped.connect(self._on_search)
        self.query.escaped.connect(self.reject)
        row.addWidget(self.query, 1)
        row.addWidget(push_button(tr("Find"), self._on_search))
        row.addWidget(push_button(tr("Untick all"), self._on_none))
        self.note = text_label("", "dim")
        column.addWidget(self.note)
        kinds = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(kinds.Ok | kinds.Cancel)
        self.send = self.buttons.button(kinds.Ok)
        set_role(self.send, "primary")
        self.buttons.accepted.connect(self.accept)
        self._pressed = _TICKED  # the state of a box before the click
        self._add((source.passage for source in sources.passages()), _TICKED)
        self._on_changed()
        self.query.setFocus()

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(row) for row in range(self.list.count())]

    def chosen(self) -> list[Passage]:
        """The passages that are ticked, the best first."""
        return [item.data(_PASSAGE) for item in self._items() if item.checkState() is _TICKED]

    def _add(self, passages: Iterable[Passage], state: Qt.CheckState) -> int:
        """List passages that are not there yet; returns how many."""
        there = [item.data(_PASSAGE) for item in self._items()]
        new = [each for each in passages if each not in there]
        for each in new:
            label = join_list([each.name, each.place.label()])
            query = f"{self._question} {self.query.text()}"
            text = excerpt(each.text, query, _SHOWN_CHARACTERS)
            shown = fit.prose(f"{label}\n{text}")
            item = QListWidgetItem(shown, self.list)
            item.setData(MARKS_ROLE, matched_terms(shown, query))
            item.setData(_PASSAGE, each)
            item.setToolTip(fit.plain_tooltip(each.text[:_TOOLTIP_CHARACTERS]))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(state)
        return len(new)

    @Slot()
    def _on_changed(self) -> None:
        count = len(self.chosen())
        self.send.setText(trn("Ask again with {n} passage", "Ask again with {n} passages", count))

    @Slot(QListWidgetItem)
    def _on_pressed(self, item: QListWidgetItem) -> None:
        self._pressed = item.checkState()

    @Slot(QListWidgetItem)
    def _on_clicked(self, item: QListWidgetItem) -> None:
        """A click on the text is one on its box."""
        if item.checkState() is self._pressed:
            item.setCheckState(_UNTICKED if self._pressed is _TICKED else _TICKED)

    @Slot()
    def _on_none(self) -> None:
        for item in self._items():
            item.setCheckState(_UNTICKED)

    @task
    async def _on_search(self) -> None:
        if not (query := self.query.text().strip()):
            return
        try:
            found = await self._documents.ask(DocumentIndex.search, query, self._among)
        except R1Error as refused:
            self.note.setText(str(refused))
            return
        added = self._add(found, _UNTICKED)
        text = trn(
            "{n} passage more: tick what matters.", "{n} passages more: tick what matters.", added
        )
        self.note.setText(text if added else tr("Nothing else was found."))
        self.list.scrollToBottom()


class MarkedItems(QStyledItemDelegate):
    """Draws an item as Qt does, its text by itself."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        own = QStyleOptionViewItem(option)
        self.initStyleOption(own, index)
        style = own.widget.style()
        place = style.subElementRect(QStyle.SubElement.SE_ItemViewItemText, own, own.widget)
        document = self._document(own, index, place.width())
        own.text = ""
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, own, painter, own.widget)
        colours = QAbstractTextDocumentLayout.PaintContext()
        colours.palette = own.palette
        painter.save()
        painter.translate(place.topLeft())
        document.documentLayout().draw(painter, colours)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        own = QStyleOptionViewItem(option)
        self.initStyleOption(own, index)
        view = own.widget
        width = view.viewport().width() if isinstance(view, QAbstractItemView) else 0
        own.rect.setWidth(width)
        own.rect.setHeight(10_000)
        place = view.style().subElementRect(QStyle.SubElement.SE_ItemViewItemText, own, view)
        height = self._document(own, index, place.width()).size().height()
        return QSize(width, round(height) + 4)

    @staticmethod
    def _document(option: QStyleOptionViewItem, index: _Index, width: int) -> QTextDocument:
        document = QTextDocument(option.text)
        document.setDefaultFont(option.font)
        document.setDocumentMargin(2)
        document.setTextWidth(width)
        bold = QTextCharFormat()
        bold.setFontWeight(QFont.Weight.Bold)
        cursor = QTextCursor(document)
        for start, end in index.data(MARKS_ROLE) or ():
            cursor.setPosition(start)
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            cursor.mergeCharFormat(bold)
        return document
