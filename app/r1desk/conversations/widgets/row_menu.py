"""The menu of a row, or of all that is selected, and the shortcuts for the same."""

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPoint, Qt, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.values.intents import Intent, Request
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.widgets.conversation_list import ConversationList, row_of
from r1desk.conversations.widgets.row_model import Row
from r1desk.store import ConversationInfo, ConversationSettings, FolderInfo
from r1desk.theme.icons import icon
from r1desk.widgets.text_label import call_with


class RowMenu(QObject):
    """Asks the list's owner for what is chosen. Trash takes two keys: one alone never deletes."""

    def __init__(self, view: ConversationList, request: Request) -> None:
        super().__init__(view)
        self._view, self._request = view, request
        self._about = QPersistentModelIndex()  # while its menu is open
        self.folders: Sequence[FolderInfo] = ()
        self.conversations: Sequence[ConversationInfo] = ()
        # One for all uses: Qt tells screen readers of an action only in the menu that had it first.
        self._menu = QMenu(view)
        # Later: the chosen action is about the row that was clicked.
        self._menu.aboutToHide.connect(self._on_closed, Qt.ConnectionType.QueuedConnection)
        view.menu_wanted.connect(self._on_menu)
        self._rename = self._action("pencil", tr("Rename"), self._on_rename, "F2")
        self._pin = self._action("pin", tr("Pin"), self._on_pin)
        self.name = self._action("", tr("Have the model write a title"), self._on_name)
        self._move = self._action("folder", tr("Move to folder"), self._on_move, "Ctrl+M")
        self._export = self._action("download", tr("Export…"), self._on_export)
        self._trash = self._action("trash", tr("Move to trash"), self._on_trash, "Ctrl+Del")
        # A click on a chat leaves the list.
        self.of_open_chat = (self._rename, self._move, self._trash)

    def _action(self, name: str, text: str, slot: object, keys: str = "") -> QAction:
        action = QAction(text, self, shortcut=QKeySequence(keys))
        if name:
            action.setIcon(icon(name))
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(slot)
        self._view.addAction(action)
        return action

    def _ask_in(self, menu: QMenu, text: str, intent: Intent, picture: str = "") -> QAction:
        action = menu.addAction(text)
        if picture:
            action.setIcon(icon(picture))
        call_with(action.triggered, self._request, intent)
        return action

    # ---- what it is about -------------------------------------------------------------------

    def _index(self) -> QModelIndex:
        if not self._about.isValid():
            return self._view.currentIndex()
        about = self._about
        return about.model().index(about.row(), about.column(), about.parent())

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
        menu = self._menu
        menu.clear()
        for before in menu.findChildren(QMenu):
            before.deleteLater()
        if row.folder_id is not None:
            self._ask_in(menu, tr("New chat here"), intents.NewChat(row.folder_id), "plus")
            menu.addAction(self._rename)
            self._add_settings(menu, row.folder_id)
            menu.addSeparator()
            menu.addAction(self._trash.icon(), tr("Delete the folder"), self._on_trash)
        elif row.trashed:
            restore = intents.RestoreConversations(self._chosen())
            self._ask_in(menu, tr("Restore"), restore, "restore")
            menu.addAction(self._trash.icon(), tr("Delete for good…"), self._on_trash)
        else:
            if len(self._chosen()) == 1:
                answering = self._view.rows.answering
                if answering is not None and row.conversation_id == answering:
                    stop = intents.StopAnswerIn(answering)
                    self._ask_in(menu, tr("Stop the answer"), stop, "stop")
                menu.addActions([self._rename, self.name])
            menu.addAction(self._pin)
            menu.addMenu(self._folder_menu(menu))
            menu.addActions([self._export, self._trash])
        menu.popup(position)

    def _add_settings(self, menu: QMenu, folder: int) -> None:
        known, everywhere = {f.id: f.settings for f in self.folders}, ConversationSettings()
        take = intents.SetFolderSettings(folder, as_shown=True)
        self._ask_in(menu, tr("Use this chat's settings for new chats"), take, "settings")
        forget = intents.SetFolderSettings(folder, as_shown=False)
        usual = self._ask_in(menu, tr("Use default settings for new chats"), forget)
        documents = intents.ShowFolderDocuments(folder)
        self._ask_in(menu, tr("Folder documents…"), documents, "file")
        usual.setEnabled(known.get(folder, everywhere) != everywhere)

    @Slot()
    def _on_move(self) -> None:
        if self._chosen():
            menu = self._folder_menu(self._view)
            menu.setActiveAction(next(each for each in menu.actions() if each.isEnabled()))
            place = self._view.visualRect(self._view.currentIndex()).bottomLeft()
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self._view.viewport().mapToGlobal(place))

    def _folder_menu(self, parent: QWidget) -> QMenu:
        menu = QMenu(self._move.text(), parent, icon=self._move.icon())
        menu.setAccessibleName(menu.title())
        menu.menuAction().setShortcut(self._move.shortcut())
        chosen = self._chosen()
        present = {each.folder_id for each in self.conversations if each.id in chosen}
        for folder in self.folders:
            move = intents.MoveToFolder(chosen, folder.id)
            action = self._ask_in(menu, folder.name.replace("&", "&&"), move, "folder")
            action.setEnabled(present != {folder.id})
        if present != {None}:
            out = intents.MoveToFolder(chosen, None)
            self._ask_in(menu, tr("Take out of the folder"), out)
        menu.addSeparator()
        self._ask_in(menu, tr("New folder"), intents.NewFolder(chosen), "plus")
        return menu

    @Slot()
    def _on_closed(self) -> None:
        self._about = QPersistentModelIndex()
        self._view.outline()

    # ---- what is asked for otherwise --------------------------------------------------------

    @Slot()
    def _on_rename(self) -> None:
        selection = self._view.selectionModel()  # the editor is of the current row
        selection.setCurrentIndex(self._index(), selection.SelectionFlag.NoUpdate)
        self._view.edit(self._view.currentIndex())

    @Slot()
    def _on_trash(self) -> None:
        folder, chosen = self._row().folder_id, self._chosen()
        if folder is not None and not chosen:
            self._request(intents.DeleteFolder(folder))
        elif chosen:
            trashed = self._row().trashed
            intent = intents.PurgeConversations if trashed else intents.TrashConversations
            self._request(intent(chosen))

    @Slot()
    def _on_pin(self) -> None:
        if chosen := self._chosen():
            self._request(intents.PinConversations(chosen, not self._row().pinned))

    @Slot()
    def _on_name(self) -> None:
        if chosen := self._chosen():
            self._request(intents.NameConversation(chosen[0]))

    @Slot()
    def _on_export(self) -> None:
        if chosen := self._chosen():
            self._request(intents.ExportConversations(chosen))
