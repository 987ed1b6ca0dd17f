"""The row under a message: copy, edit or regenerate, its versions, its numbers."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.stats_line import stats_details, stats_line
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import Regenerate, Request, SelectVersion
from r1desk.store import ChatMessage
from r1desk.theme.fonts import scaled
from r1desk.theme.icons import icon
from r1desk.widgets.text_label import ElidedLabel

_COPIED_MS = 1_500


class Footer(QWidget):
    """Small buttons that are always in the same place.

    `edit_button`, which a question has, and `menu_button` are left to the message above.
    """

    def __init__(
        self, message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._message, self._style, self._request = message, style, request
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self._copy = icon_button("copy", tr("Copy"), self)
        self._copy.clicked.connect(self._on_copy)
        row.addWidget(self._copy)
        self.edit_button: QToolButton | None = None
        if message.is_answer:
            again = icon_button("refresh", tr("Answer again"), self)
            again.clicked.connect(lambda: request(Regenerate(message.id)))
            row.addWidget(again)
        else:
            self.edit_button = icon_button("pencil", tr("Edit and send again"), self)
            row.addWidget(self.edit_button)
        self.menu_button = icon_button("more", tr("More"), self)
        row.addWidget(self.menu_button)
        if message.sibling_count > 1:
            self._add_versions(row)
        if message.is_answer:
            self._add_numbers(row)
        row.addStretch(1)

    def _add_versions(self, row: QHBoxLayout) -> None:
        index, count = self._message.sibling_index, self._message.sibling_count
        back = self._version_button("chevron-left", tr("Version before"), -1)
        back.setEnabled(index > 0)
        onward = self._version_button("chevron-right", tr("Next version"), 1)
        onward.setEnabled(index < count - 1)
        place = self._label(f"{index + 1}/{count}")
        place.setAccessibleName(tr("Version {index} of {count}", index=index + 1, count=count))
        for widget in (back, place, onward):
            row.addWidget(widget)

    def _version_button(self, name: str, label: str, delta: int) -> QToolButton:
        button = icon_button(name, label, self)
        button.clicked.connect(lambda: self._request(SelectVersion(self._message.id, delta)))
        return button

    def _add_numbers(self, row: QHBoxLayout) -> None:
        message = self._message
        if message.stats:
            text = stats_line(message.stats)
            tooltip = stats_details(message.stats, message.model_name)
        elif message.edited:
            text, tooltip = tr("edited by you"), message.model_name
        elif message.state == "stopped":
            text, tooltip = tr("stopped"), message.model_name
        else:
            return
        row.addSpacing(round(self._style.em_px * 0.4))
        label = self._label(text, ElidedLabel(self))
        label.setToolTip(fit.plain_tooltip(tooltip))
        row.addWidget(label, 10)

    def _label(self, text: str, label: QLabel | None = None) -> QLabel:
        label = label or QLabel(self)
        label.setText(text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(scaled(self._style.font, 0.88))
        label.setMinimumWidth(10)
        palette = label.palette()
        palette.setColor(palette.ColorRole.WindowText, self._style.colours.dim)
        label.setPalette(palette)
        return label

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        height = self.sizeHint().height()
        self.resize(width, height)
        return height

    @Slot()
    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(fit.clipped(self._message.content))
        self._copy.setIcon(icon("check", "success"))
        self._copy.setToolTip(tr("Copied"))
        QTimer.singleShot(_COPIED_MS, self, self._restore)

    @Slot()
    def _restore(self) -> None:
        self._copy.setIcon(icon("copy", "text_dim"))
        self._copy.setToolTip(tr("Copy"))
