"""Finds text in the conversation on the screen and steps through the matches."""

import re
from collections.abc import Iterator, Sequence

from PySide6.QtCore import QObject, Slot

from r1desk.chat.messages.message_list import MessageList
from r1desk.chat.messages.user_view import UserView
from r1desk.chat.text.message_selection import mark, matches_in, pattern_of
from r1desk.chat.text.time_slicer import Slicer
from r1desk.store import ChatMessage

LAST = -1


class TextFinder(QObject):
    """Marks matches in one message at a time, the current one stronger, and scrolls to it."""

    def __init__(self, column: MessageList, slicer: Slicer) -> None:
        super().__init__(column)
        self._column = column
        self._slicer = slicer
        self._pattern: re.Pattern[str] | None = None
        self._found: list[int] = []  # messages with a match, from top to bottom
        self._message: int | None = None  # the message whose matches are marked
        self._index = 0

    def find(self, messages: Sequence[ChatMessage], text: str) -> int:
        """Look for all of `text`, show the next match below what is read; returns the number."""
        self.clear()
        if not text.strip():
            return 0
        self._pattern = re.compile(re.escape(text.strip()), re.IGNORECASE)
        counts = {m.id: len(self._pattern.findall(m.content)) for m in messages}
        self._found = [key for key, count in counts.items() if count]
        if self._found:
            top = self._column.top_key()
            order = list(counts)
            below = [k for k in self._found if top is None or order.index(k) >= order.index(top)]
            self._show(below[0] if below else self._found[-1], 0)
        return sum(counts.values())

    def show(self, message_id: int, query: str) -> None:
        """Show the first word of `query` in a message, and mark all of them there."""
        self.clear()
        self._pattern = pattern_of(query)
        if self._pattern is not None:
            self._found = [message_id]
            self._show(message_id, 0)

    @Slot(int)
    def step(self, delta: int) -> None:
        """Go to the next match (1) or the one before (-1); behind the last comes the first."""
        if self._message is None or self._pattern is None:
            return
        view = self._column.view(self._message)
        count = len(matches_in(view, self._pattern)) if view is not None else 0
        if 0 <= self._index + delta < count:
            self._show(self._message, self._index + delta)
            return
        position = self._found.index(self._message) + delta
        self._show(self._found[position % len(self._found)], 0 if delta > 0 else LAST)

    def clear(self) -> None:
        """Remove all marks."""
        self._unmark()
        self._pattern, self._found = None, []

    def _unmark(self) -> None:
        if self._message is not None and (view := self._column.view(self._message)):
            mark(view, [])
        self._message = None

    def _show(self, message_id: int, index: int) -> None:
        if message_id != self._message:
            self._unmark()
        self._message, self._index = message_id, index
        view = self._column.view(message_id)
        if view is None:
            self._column.show_key(message_id)
            view = self._column.build_now(message_id)
        if isinstance(view, UserView):
            view.unfold()
        self._slicer.add(view, self._marking(message_id, index))

    def _marking(self, message_id: int, index: int) -> Iterator[None]:
        """Runs when the text of the message, which is loaded in slices, is there."""
        yield
        view = self._column.view(message_id)
        shown = (self._message, self._index)
        if view is None or self._pattern is None or shown != (message_id, index):
            return  # the user has gone on
        matches = matches_in(view, self._pattern)
        if not matches:  # the source has a match that is not shown, as in a link's address
            self._column.show_key(message_id)
            return
        self._index = index % len(matches)
        current = matches[self._index]
        mark(view, matches, current)
        self._column.place()
        self._column.show_key(message_id, current.top_in(view))
        yield
