"""Another text size: the reader stays where he was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from chat.shown_messages import Show, conversation, user
from r1desk.chat.messages.view import ChatView

Settled = Callable[[ChatView], None]


@contextmanager
def larger_text(view: ChatView, settled: Settled, more: int = 4) -> Iterator[None]:
    before = QFont(QApplication.font())
    larger = QFont(before)
    larger.setPointSize(before.pointSize() + more)
    use_font(larger)
    try:
        yield
    finally:
        use_font(before)
        settled(view)


def use_font(font: QFont) -> None:
    """As `shell.menu_feature` does: widgets with a style sheet follow when it is applied again."""
    QApplication.setFont(font)
    application = QApplication.instance()
    sheet = application.styleSheet()
    for each in (f"{sheet} ", sheet):
        application.setStyleSheet(each)


def test_the_end_stays_in_view(view: ChatView, settled: Settled, show: Show) -> None:
    show(conversation(20_000))
    bar = view.column.verticalScrollBar()
    with larger_text(view, settled):
        settled(view)
        assert bar.value() == bar.maximum()
    assert bar.value() == bar.maximum()


def test_the_message_that_is_read_stays_in_view(view, settled, show):
    messages = conversation(20_000)
    show(messages)
    bar = view.column.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    settled(view)

    def at_top() -> int:
        shown = [(m.id, view.view(m.id)) for m in view.messages]
        return next(i for i, v in shown if v and v.y() <= bar.value() < v.y() + v.height() + 40)

    read = at_top()
    with larger_text(view, settled):
        settled(view)
        assert at_top() == read


def shown_views(view: ChatView) -> list[QWidget]:
    """The messages in sight, whatever the list takes them for."""
    column = view.column
    seen = column.viewport().rect()
    views = column.widget().findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
    return [
        each
        for each in views
        if each.isVisible() and each.geometry().translated(column.widget().pos()).intersects(seen)
    ]


def test_the_page_is_never_empty_while_the_text_changes_its_size(view, settled, show):
    show(conversation(20_000))
    with larger_text(view, settled, 1), larger_text(view, settled, 1):  # faster than it can follow
        assert shown_views(view)
        settled(view)
        built = {view.view(m.id) for m in view.messages}
        assert shown_views(view)
        assert set(shown_views(view)) <= built, "nothing of the size before is left"


def test_what_is_being_edited_stays_open(view: ChatView, settled: Settled, show: Show) -> None:
    show([user(1, "Why?")])
    view.edit_last()
    editor = view.view(1).editor
    QTest.keyClicks(editor.focusProxy(), " Changed.")
    view.column.rebuild()
    settled(view)
    assert view.view(1).editor is not editor
    assert view.view(1).editor.text().endswith(" Changed.")
