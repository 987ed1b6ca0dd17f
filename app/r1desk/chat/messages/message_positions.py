"""Positions of the messages in the list."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QWidget

from r1desk.chat.messages.answer_view import AnswerView
from r1desk.chat.messages.user_view import UserView, folded_text
from r1desk.store import ChatMessage

MessageView = AnswerView | UserView


@dataclass(slots=True)
class MessagePosition:
    """One message's place in the column."""

    key: int
    height: int  # estimated until `view` was laid out for `width`
    top: int = 0
    view: MessageView | None = None
    width: int = 0  # 0: it has to be laid out anew
    pinned: bool = False


def position_at(positions: Sequence[MessagePosition], y: int) -> MessagePosition | None:
    """The message at a height of the column."""
    index = bisect_right(positions, y, key=attrgetter("top"))
    return positions[max(0, index - 1)] if positions else None


def stops(view: QWidget) -> list[QWidget]:
    """The widgets that Tab visits in a message, in reading order."""
    found = [
        widget
        for widget in view.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and not widget.isHidden()
    ]
    spots = {widget: widget.mapTo(view, QPoint(0, 0)) for widget in found}
    return sorted(found, key=lambda widget: (spots[widget].y(), spots[widget].x()))


def estimated_height(message: ChatMessage, width: int, em_px: float) -> int:
    """About how high a message will be, in pixels."""
    content = message.content if message.is_answer else folded_text(message.content)
    per_line = max(10.0, width / (em_px * 0.43))
    lines = content.count("\n") * 0.8 + len(content) / per_line + 1
    extra = 2.2 + (1.8 if message.thinking else 0.0) + (6.0 if message.error_text else 0.0)
    return round((lines * 1.4 + extra) * em_px)
