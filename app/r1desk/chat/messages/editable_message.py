"""The base of the widgets of messages: the row under it, the menu, and the editor."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QEvent, QPoint, Signal, Slot
from PySide6.QtGui import QAction, QEnterEvent, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QGraphicsOpacityEffect,
    QHBoxLayout,
    QLabel,
    QMenu,
    QToolButton,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.stats_line import stats_details, stats_line
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import copy_by, icon_button
from r1desk.chat.text.editor import MessageEditor
from r1desk.chat.text.message_selection import select_all, selected_text, text_boxes
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import Slicer
from r1desk.chat.values.intents import (
    AskOthers,
    BranchOff,
    DeleteMessage,
    EditAnswer,
    EditQuestion,
    Intent,
    Quote,
    Regenerate,
    Request,
    ReturnToComposer,
    SavePrompt,
    SelectVersion,
)
from r1desk.store import ChatMessage
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import FittedWidget, discard, filled
from r1desk.widgets.text_label import ElidedLabel, call_with


class MessageMenu(QMenu):
    """Copy, quote, edit, a new chat from here, delete. Made anew for each use."""

    def __init__(self, view: EditableMessage, message: ChatMessage, request: Request) -> None:
        super().__init__(view)
        self._view, self._request = view, request
        selection, several = selected_text(view), message.sibling_count > 1
        if selection:
            copy = self._add("copy_selection", tr("Copy the selection"), "copy", "Ctrl+C")
            call_with(copy.triggered, _copy, selection)
        copy = self._add("copy", tr("Copy the message"), "" if selection else "copy")
        call_with(copy.triggered, _copy, message.content)
        select = self._add("select_all", tr("Select all of the message"), keys="Ctrl+A")
        select.triggered.connect(self._select_all)
        quote = tr("Quote the selection") if selection else tr("Quote the message")
        self._ask("quote", quote, Quote(selection or message.content))
        if not message.is_answer:
            self._ask("prompt", tr("Save as a prompt…"), SavePrompt(message.content))
        self.addSeparator()
        label = tr("Edit the answer…") if message.is_answer else tr("Edit…")
        self._add("edit", label, "pencil").triggered.connect(view.edit)
        self._ask("branch", tr("New chat from here"), BranchOff(message.id), "plus")
        if message.is_answer:
            self._ask("ask_others", tr("Ask another model…"), AskOthers(message.id))
        self.addSeparator()
        label = tr("Delete this version") if several else tr("Delete the message")
        self._ask("delete", label, DeleteMessage(message.id), "trash")

    def _ask(self, name: str, text: str, intent: Intent, picture: str = "") -> None:
        call_with(self._add(name, text, picture).triggered, self._request, intent)

    def _add(self, name: str, text: str, picture: str = "", keys: str = "") -> QAction:
        """Add an entry. The text that has the focus takes its `keys`."""
        shown_keys = f"\t{QKeySequence(keys).toString()}" if keys else ""
        entry = self.addAction(text + shown_keys)
        entry.setObjectName(name)
        if picture:
            entry.setIcon(icon(picture))
        return entry

    def _select_all(self) -> None:
        select_all(self._view)
        if boxes := text_boxes(self._view):
            boxes[0].setFocus()  # for Ctrl+C


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(fit.clipped(text))


class Footer(FittedWidget):
    """Small buttons that are always in the same place, for Tab and screen readers too.

    `veil` hides them from the eye alone. `edit_button`, which a question has, and `menu_button` are
    left to the message above.
    """

    def __init__(
        self, message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._message, self._style, self._request = message, style, request
        self.veil = QGraphicsOpacityEffect(self, opacity=0.0)
        self.setGraphicsEffect(self.veil)
        copy = icon_button("copy", tr("Copy"), self)
        call_with(copy.clicked, copy_by, copy, message.content)
        row = filled(QHBoxLayout(self), copy, spacing=2)
        self.edit_button: QToolButton | None = None
        if message.is_answer:
            again = icon_button("refresh", tr("Regenerate"), self)
            call_with(again.clicked, request, Regenerate(message.id))
            row.addWidget(again)
        else:
            self.edit_button = icon_button("pencil", tr("Edit"), self)
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
        back = self._version_button("chevron-left", tr("Previous version"), -1)
        back.setEnabled(index > 0)
        onward = self._version_button("chevron-right", tr("Next version"), 1)
        onward.setEnabled(index < count - 1)
        place = self._label(f"{index + 1}/{count}")
        place.setAccessibleName(tr("Version {index} of {count}", index=index + 1, count=count))
        for widget in (back, place, onward):
            row.addWidget(widget)

    def _version_button(self, name: str, label: str, delta: int) -> QToolButton:
        button = icon_button(name, label, self)
        call_with(button.clicked, self._request, SelectVersion(self._message.id, delta))
        return button

    def _add_numbers(self, row: QHBoxLayout) -> None:
        message = self._message
        if message.stats:
            text = stats_line(message.stats, message.model_name)
            tooltip = stats_details(message.stats, message.model_name)
        elif message.edited:
            text, tooltip = tr("edited by you"), message.model_name
        elif message.state == "stopped" and message.error is None:  # with one it was never sent
            text, tooltip = tr("stopped"), message.model_name
        else:
            return
        row.addSpacing(round(self._style.em_px * 0.4))
        label = self._label(text, ElidedLabel(self))
        label.setToolTip(fit.plain_tooltip(tooltip))
        label.setAccessibleDescription(tooltip)
        row.addWidget(label, 10)

    def _label(self, text: str, label: QLabel | None = None) -> QLabel:
        label = label or QLabel(self)
        label.setText(text)
        label.setMinimumWidth(10)
        self._style.dress(label, scale=0.88)
        return label


class MessageTools(NamedTuple):
    """Style, slicer, way to ask and unfolded thinking, which all messages share."""

    style: TextStyle
    slicer: Slicer
    request: Request
    open_thinking: set[int]  # the messages whose thinking the user has unfolded


class EditableMessage(QWidget):
    """A message with a footer."""

    grown = Signal()  # the height may have changed

    def __init__(self, message: ChatMessage, tools: MessageTools, parent: QWidget) -> None:
        super().__init__(parent)
        self._message, self._is_last = message, False
        self._tools = tools
        self._style, self._slicer, self._request, _ = tools
        self.editor: MessageEditor | None = None
        self._footer: Footer | None = None

    def _add_footer(self) -> Footer:
        footer = self._footer = Footer(self._message, self._style, self._request, self)
        footer.menu_button.clicked.connect(self._on_menu)
        if footer.edit_button is not None:
            footer.edit_button.clicked.connect(self.edit)
        self.reveal_footer()
        return footer

    def set_last(self, is_last: bool) -> None:
        self._is_last = is_last
        self.reveal_footer()

    def reveal_footer(self) -> None:
        """Draw the footer of answers and versions; else of the last message and where one is."""
        if self._footer:
            focused = QApplication.focusWidget()
            has_focus = focused is not None and self.isAncestorOf(focused)
            one = self._message
            stays = self._is_last or one.is_answer or one.sibling_count > 1
            self._footer.veil.setEnabled(not (stays or has_focus or self.underMouse()))

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.reveal_footer()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.reveal_footer()

    # ---- menu

    @Slot()
    def _on_menu(self) -> None:
        if self._footer is not None:
            button = self._footer.menu_button
            self.open_menu(button.mapToGlobal(button.rect().bottomLeft()))

    def open_menu(self, place: QPoint) -> None:
        """Open the message's menu at a place of the screen; not while it is being written."""
        if self._footer is not None:
            menu = MessageMenu(self, self._message, self._request)
            menu.aboutToHide.connect(menu.deleteLater)
            menu.popup(place)

    # ---- editor

    @Slot()
    def edit(self) -> None:
        """Open the editor in place of the text, and type there."""
        self.open_editor(self._message.content)
        if self.editor:
            self.editor.setFocus()

    def open_editor(self, text: str) -> None:
        """Open the editor with a text of its own; the keyboard stays where it is."""
        if self.editor is None:
            self.editor = MessageEditor(text, self, saves=self._message.is_answer)
            self.editor.sent.connect(self._on_edited)
            self.editor.cancel.clicked.connect(self._on_left)
            self._set_text_visible(False)
            self.editor.show()
            self.grown.emit()

    @Slot(str)
    def _on_edited(self, text: str) -> None:
        self._on_left()
        edit = EditAnswer if self._message.is_answer else EditQuestion
        self._request(edit(self._message.id, text))

    @Slot()
    def _on_left(self) -> None:
        if self.editor:
            discard(self.editor)
            self.editor = None
            self._set_text_visible(True)
            self.grown.emit()
            self._request(ReturnToComposer())

    def _set_text_visible(self, visible: bool) -> None:
        """Show or hide what the editor takes the place of."""
        raise NotImplementedError
