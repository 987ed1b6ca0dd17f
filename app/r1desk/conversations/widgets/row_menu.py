"""The menu of a row, or of all that is selected, and the shortcuts for the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPoint, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from deepseek_r1.core.i18n import tr
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.widgets.conversation_list import ConversationList, row_of
from r1desk.conversations.widgets.conversation_rows import Row
from r1desk.store import FolderInfo
from r1desk.theme.icons import icon

_OfChosen = type[intents.TrashConversations] | type[intents.ExportConversations]


class RowMenu(QObject):
    """Asks the list's owner for what is chosen. Trash takes two keys: one alone never deletes."""

    def __init__(
        self, view: ConversationList, request: Callable[[intents.ConversationIntent], None]
    ) -> None:
        super().__init__(view)
        self._view, self._request = view, request
        self._about = QPersistentModelIndex()  # while its menu is open
        self.folders: Sequence[FolderInfo] = ()
        view.menu_wanted.connect(self._on_menu)
        rename, move = self._on_rename, self._on_move
        self._rename = self._action("pencil", tr("Rename"), rename, "F2")
        self._pin = self._action("pin", tr("Pin"), self._asks(self._pinned))
        self.name = self._action("", tr("Name this chat"), self._asks(intents.NameConversation))
        copy = self._asks(intents.DuplicateConversation)
        self._copy = self._action("copy", tr("Duplicate"), copy)
        self._move = self._action("folder", tr("Move to folder"), move, "Ctrl+M")
        export = partial(self._request_for_chosen, intents.ExportConversations)
        self._export = self._action("download", tr("Export…"), export)
        self._trash = self._action("trash", tr("Move to trash"), self._on_trash, "Ctrl+Del")

    def _action(self, name: str, text: str, slot: object, keys: str = "") -> QAction:
        action = QAction(text, self, shortcut=QKeySequence(keys))
        if name:
            action.setIcon(icon(name))
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(slot)
        self._view.addAction(action)
        return action

    def _asks(self, intent: Callable[[int], intents.ConversationIntent]) -> Callable[[], None]:
        """What asks for this of one conversation."""

        def ask() -> None:
            if (conversation := self._row().conversation_id) is not None:
                self._request(intent(conversation))

        return ask

    # ---- what it is about -------------------------------------------------------------------

    def _index(self) -> QModelIndex:
        return QModelIndex(self._about) if self._about.isValid() else self._view.currentIndex()

    def _row(self) -> Row:
        return row_of(self._index())

    def _chosen(self) -> tuple[int, ...]:
        """All that is selected where the row is part of it; else the row alone."""
        selected, row = self._view.selected_ids(), self._row()
        if row.conversation_id in selected or (not self._about.isValid() and selected):
            return tuple(selected)
        return () if row.conversation_id is None else (row.conversation_id,)

    # ---- menus ------------------------------------------------------------------------------

    @Slot(QModelIndex, QPoint)
    def _on_menu(self, index: QModelIndex, position: QPoint) -> None:
        self._about = QPersistentModelIndex(index)
        self._view.outline(index)
        row = self._row()
        self._pin.setText(tr("Unpin") if row.pinned else tr("Pin"))
        menu = QMenu(self._view)
        if row.folder_id is not None:
            edit = partial(self._request, intents.EditFolder(row.folder_id))
            delete = partial(self._request, intents.DeleteFolder(row.folder_id))
            menu.addAction(self._rename)
            menu.addAction(icon("settings"), tr("Settings of the folder…"), edit)
            menu.addSeparator()
            menu.addAction(self._trash.icon(), tr("Delete the folder"), delete)
        else:
            one = (
                [self._rename, self._pin, self.name, self._copy] if len(self._chosen()) == 1 else []
            )
            menu.addActions(one)
            moving = menu.addMenu(self._move.icon(), self._move.text())
            moving.menuAction().setShortcut(self._move.shortcut())
            self._fill_folders(moving)
            menu.addActions([self._export, self._trash])
        self._open(menu, position)

    @Slot()
    def _on_move(self) -> None:
        if self._chosen():
            menu = QMenu(self._view)
            menu.setAccessibleName(self._move.text())
            self._fill_folders(menu)
            menu.setActiveAction(next(each for each in menu.actions() if each.isEnabled()))
            place = self._view.visualRect(self._view.currentIndex()).bottomLeft()
            self._open(menu, self._view.viewport().mapToGlobal(place))

    def _fill_folders(self, menu: QMenu) -> None:
        """Every folder, the way out of one, and a new one."""
        chosen, present = self._chosen(), row_of(self._index().parent()).folder_id
        for folder in self.folders:
            move = partial(self._request, intents.MoveToFolder(chosen, folder.id))
            action = menu.addAction(icon("folder"), folder.name.replace("&", "&&"), move)
            action.setEnabled(folder.id != present or len(chosen) > 1)
        if present is not None:
            out = partial(self._request, intents.MoveToFolder(chosen, None))
            menu.addAction(tr("Take out of the folder"), out)
        menu.addSeparator()
        new = partial(self._request, intents.NewFolder(chosen))
        menu.addAction(icon("plus"), tr("New folder"), new)

    def _open(self, menu: QMenu, position: QPoint) -> None:
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        # Later: the chosen action is about the row that was clicked.
        menu.aboutToHide.connect(lambda: QTimer.singleShot(0, self, self._on_closed))
        menu.popup(position)

    @Slot()
    def _on_closed(self) -> None:
        self._about = QPersistentModelIndex()
        self._view.outline()

    # ---- what is asked for ------------------------------------------------------------------

    def _request_for_chosen(self, intent: _OfChosen) -> None:
        if chosen := self._chosen():
            self._request(intent(chosen))

    @Slot()
    def _on_rename(self) -> None:
        index = self._index()
        if row_of(index).is_heading:
            return
        if index != self._view.currentIndex():  # the editor is of the current row
            with_selection = self._view.selectionModel()
            with_selection.setCurrentIndex(index, with_selection.SelectionFlag.NoUpdate)
        self._view.edit(index)

    def _pinned(self, conversation: int) -> intents.PinConversation:
        return intents.PinConversation(conversation, not self._row().pinned)

    @Slot()
    def _on_trash(self) -> None:
        folder = self._row().folder_id
        if folder is not None and not self._chosen():
            self._request(intents.DeleteFolder(folder))
        else:
            self._request_for_chosen(intents.TrashConversations)
