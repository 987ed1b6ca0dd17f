"""The dialog of the trash, with long titles and on a small screen."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QRect
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot

from r1desk.conversations.widgets.trash_dialog import TrashDialog
from r1desk.store import ConversationInfo

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


def test_a_long_title_leaves_the_date_in_view_without_a_scroll_bar(qtbot: QtBot) -> None:
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
    item = dialog.list.item(0)
    metrics = dialog.list.fontMetrics()
    shown = metrics.elidedText(
        item.text(), dialog.list.textElideMode(), dialog.list.viewport().width()
    )
    assert not dialog.list.horizontalScrollBar().isVisible()
    assert shown != item.text()
    assert shown.endswith(item.text()[-10:])  # the date ends the row


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
