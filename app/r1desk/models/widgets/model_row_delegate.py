"""Draws a model in a list: its name, and its facts in smaller text below."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPalette
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

PAD_PX = 10
GAP_PX = 3
_WRAPPED = Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap
Index = QModelIndex | QPersistentModelIndex


class ModelRowDelegate(QStyledItemDelegate):
    """Draws an item's first line as a title and the rest below it."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        self.initStyleOption(option, index)
        title, details = _lines(index)
        option.text = ""
        style = QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        box = option.rect.adjusted(PAD_PX, PAD_PX, -PAD_PX, -PAD_PX)
        usable = bool(option.state & QStyle.StateFlag.State_Enabled)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        dim = role if selected or not usable else QPalette.ColorRole.PlaceholderText
        group = QPalette.ColorGroup.Active if usable else QPalette.ColorGroup.Disabled
        painter.save()
        painter.setFont(option.font)
        painter.setPen(option.palette.color(group, role))
        height = QFontMetrics(option.font).height()
        painter.drawText(QRect(box.left(), box.top(), box.width(), height), _WRAPPED, title)
        painter.setFont(_smaller(option.font))
        painter.setPen(option.palette.color(group, dim))
        painter.drawText(box.adjusted(0, height + GAP_PX, 0, 0), _WRAPPED, details)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        self.initStyleOption(option, index)
        width = max(option.widget.viewport().width() - 2 * PAD_PX, 100)
        _, details = _lines(index)
        below = QFontMetrics(_smaller(option.font)).boundingRect(
            QRect(0, 0, width, 10_000), _WRAPPED, details
        )
        height = QFontMetrics(option.font).height() + GAP_PX + below.height()
        return QSize(width, height + 2 * PAD_PX)


def _lines(index: Index) -> tuple[str, str]:
    title, _, details = str(index.data(Qt.ItemDataRole.DisplayRole)).partition("\n")
    return title, details


def _smaller(font: QFont) -> QFont:
    small = QFont(font)
    small.setBold(False)
    small.setPointSizeF(font.pointSizeF() * 0.92)
    return small
