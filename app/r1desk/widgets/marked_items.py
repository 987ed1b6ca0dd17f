"""Items of a list whose texts have bold words."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QFont,
    QPainter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

Index = QModelIndex | QPersistentModelIndex
MARKS_ROLE = Qt.ItemDataRole.UserRole + 1  # (start, end) of each bold word in the item's text


class MarkedItems(QStyledItemDelegate):
    """Draws an item as Qt does, its text by itself."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
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

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
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
    def _document(option: QStyleOptionViewItem, index: Index, width: int) -> QTextDocument:
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
