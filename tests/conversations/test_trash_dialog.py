"""The dialog of the trash, with long titles and on a small screen."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot

from r1desk.conversations.widgets.row_model import ItemRole
from r1desk.conversations.widgets.trash_dialog import TrashDialog
from r1desk.store import ConversationInfo

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


def test_a_long_title_leaves_no_scroll_bar_and_the_dialog_fits_its_rows(qtbot: QtBot) -> None:
    dialog = TrashDialog()
    qtbot.addWidget(dialog)
    title = "A very long question about many things at once, " * 4
    info = ConversationInfo(
        id=1,
        title=title,
        created_at=0.0,
        updated_at=1_700_000_000.0,
        trashed_at=1_700_000_000.0,
        preview="",
    )
    dialog.show_conversations([info])
    dialog.show()
    qtbot.waitExposed(dialog)
    assert not dialog.list.horizontalScrollBar().isVisible()
    assert dialog.height() < 200, "one row, and no white below it"
    index = dialog.list.model().index(0)
    spoken = index.data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken.startswith(title[:-1])
    assert spoken.endswith(index.data(ItemRole.ROW).date)


def test_on_a_small_screen_its_buttons_are_in_view(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen:
        def availableGeometry(self) -> QRect:
            return QRect(0, 0, 455, 256)  # 1366x768 at 300 %

    monkeypatch.setattr(TrashDialog, "screen", lambda _dialog: Screen())
    dialog = TrashDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    buttons = dialog.findChild(QDialogButtonBox)
    assert dialog.height() <= 256
    assert dialog.rect().contains(buttons.mapTo(dialog, buttons.rect().bottomRight()))
