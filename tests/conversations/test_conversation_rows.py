"""The rows of the list of conversations: headings by age, hits with their date, marks, titles."""

from datetime import datetime, timedelta

import pytest
from PySide6.QtCore import QDate, QLocale, Qt

from deepseek_r1.core.i18n import use_language
from r1desk.conversations.conversation_intents import RenameConversation
from r1desk.conversations.widgets.row_model import (
    ItemRole,
    Row,
    RowModel,
    RowState,
    rows_by_day,
    rows_of_hits,
)
from r1desk.store import ConversationInfo, SearchHit

NOW = datetime(2026, 11, 29, 12, 0).astimezone()


def updated(days_ago: int) -> float:
    return (NOW - timedelta(days=days_ago)).timestamp()


def test_conversations_stand_under_their_age_and_pinned_ones_first() -> None:
    ages = {
        "Pin": 9,
        "Now": 0,
        "Later": 0,
        "Before": 1,
        "Some days": 5,
        "Long ago": 40,
        "Earlier": 400,
    }
    infos = [
        ConversationInfo(
            id=number, title=title, created_at=0.0, updated_at=updated(age), pinned=title == "Pin"
        )
        for number, (title, age) in enumerate(ages.items(), 1)
    ]
    titles = [row.title for row in rows_by_day(infos, NOW)]
    assert titles == [
        "Pinned", "Pin", "Today", "Now", "Later", "Yesterday", "Before",
        "This week", "Some days", "October", "Long ago", "2025", "Earlier",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("age_days", "language", "shown"),
    [(0, "en", "Today"), (1, "en", "Yesterday"), (1, "zh_CN", "昨天"), (40, "en", None)],
)
def test_a_search_hit_has_the_date_of_its_conversation(age_days, language, shown):
    use_language(language)
    hit = SearchHit(1, "Apples?", updated(age_days), 2, "A red zebra.", ((6, 5),))
    (row,) = rows_of_hits([hit], "zebra", NOW)
    then = (NOW - timedelta(days=age_days)).date()
    short = QLocale().toString(
        QDate(then.year, then.month, then.day), QLocale.FormatType.ShortFormat
    )
    assert row.date == (shown or short)
    assert (row.message_id, row.query, row.marks) == (2, "zebra", ((6, 5),))
    model = RowModel(list.append)
    model.show_rows([row])
    assert row.date in model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)


def test_conversations_being_answered_or_waiting_are_marked_and_only_titles_are_renamed() -> None:
    requested: list[object] = []
    model = RowModel(requested.append)
    model.show_rows([Row("Today"), Row("Apples?", 1), Row("Pears?", 2)])
    model.answering, model.queued = 2, frozenset({1})
    marked = [model.index(number).data(ItemRole.STATE) for number in range(3)]
    assert marked == [RowState.NONE, RowState.QUEUED, RowState.ANSWERING]
    assert "Writing an answer" in model.index(2).data(Qt.ItemDataRole.ToolTipRole)
    assert not model.setData(model.index(0), "Tomorrow")
    assert not model.setData(model.index(1), "  ")
    assert model.setData(model.index(1), " Plums? ")
    assert requested == [RenameConversation(1, "Plums?")]
