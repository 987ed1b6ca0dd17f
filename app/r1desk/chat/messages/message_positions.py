"""Positions of the messages in the list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QWidget

from r1desk.chat.messages.answer_view import AnswerView
from r1desk.chat.messages.user_view import UserView, folded_text
from r1desk.store import ChatMessage

MessageView = AnswerView | UserView


@dataclass(slots=True)
class MessagePosition:
    """One message's place in the column.

    `former` is the widget of before a rebuild: it is shown until `view` is laid out.
    """

    key: int
    height: int  # estimated until `view` was laid out for `width`
    top: int = 0
    view: MessageView | None = None
    former: MessageView | None = None
    width: int = 0
    changed: bool = True
    pinned: bool = False


def position_at(positions: Sequence[MessagePosition], y: int) -> MessagePosition | None:
    """The message at a height of the column."""
    low, high = 0, len(positions)
    while low < high:
        middle = (low + high) // 2
        if positions[middle].top <= y:
            low = middle + 1
        else:
            high = middle
    return positions[max(0, low - 1)] if positions else None


def near(
    positions: Sequence[MessagePosition], top: int, height: int, screens: float
) -> Iterator[MessagePosition]:
    """The messages on a screen of `height` at `top`, and `screens` of them around it."""
    for position in positions:
        if position.top + position.height < top - screens * height:
            continue
        if position.top > top + (1 + screens) * height:
            break
        yield position


def stops(view: QWidget) -> list[QWidget]:
    """The widgets that Tab visits in a message, in reading order."""
    found = [
        widget
        for widget in view.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and not widget.isHidden()
    ]
    origin = QPoint(0, 0)

    def reading(widget: QWidget) -> tuple[int, int]:
        spot = widget.mapTo(view, origin)
        return spot.y(), spot.x()

    return sorted(found, key=reading)


def estimated_height(message: ChatMessage, width: int, em_px: float) -> int:
    """About how high a message will be, in pixels."""
    content = message.content if message.is_answer else folded_text(message.content)
    per_line = max(10.0, width / (em_px * 0.43))
    lines = content.count("\n") * 0.8 + len(content) / per_line + 1
    extra = 2.2 + (1.8 if message.thinking else 0.0) + (6.0 if message.error_text else 0.0)
    return round((lines * 1.4 + extra) * em_px)
