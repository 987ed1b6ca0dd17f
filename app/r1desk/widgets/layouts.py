"""Puts layouts into layouts without a crash of the binding, and keeps places and heights.

When a layout is put into another one, PySide makes a Python object of each of its items, and keeps
it when Qt deletes the item. A widget that is made at the same address later is then taken for that
item. A layout without items has none to be made: it is put in its place first and filled there.
"""

from typing import TypeVar

from PySide6.QtCore import QObject, QSize
from PySide6.QtWidgets import QBoxLayout, QLayout, QWidget

Inner = TypeVar("Inner", bound=QLayout)
Made = TypeVar("Made", bound=QObject)
Box = TypeVar("Box", bound=QBoxLayout)


def put_inside(outer: QBoxLayout, inner: Inner) -> Inner:
    """Append `inner`, which is still empty, to `outer`; returned to be filled."""
    if inner.count():
        raise ValueError("a layout is filled after it was put into another one")
    outer.addLayout(inner)
    return inner


def filled(
    layout: Box,
    *widgets: QWidget,
    spacing: int = -1,
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Box:
    """`layout`, filled. `margins`: left, top, right, bottom; `spacing`: -1 is the style's."""
    layout.setContentsMargins(*margins)
    layout.setSpacing(spacing)
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def discard(*widgets: QWidget | None) -> None:
    """Hide these widgets at once, and let Qt delete them."""
    for widget in widgets:
        if widget is not None:
            widget.hide()
            widget.deleteLater()


def keep_place(widget: QWidget, lines: int = 0) -> None:
    """Let `widget` keep its place while it is hidden or empty, so that nothing below it moves.

    `lines`: the height of that many lines of its text at least.
    """
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)
    if lines:
        widget.setMinimumHeight(lines * widget.fontMetrics().lineSpacing())


class FittedWidget(QWidget):
    """A widget that is put in its place by hand, as high as its layout is at a width."""

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        if (layout := self.layout()) is not None:
            wraps, hint = layout.hasHeightForWidth(), layout.sizeHint()
            self.resize(width, layout.heightForWidth(width) if wraps else hint.height())
            layout.activate()  # at once: who asks for places may not wait for the event loop
        return self.height()


class ScrolledColumn(QWidget):
    """The content of a scroll area, as tall as its texts are at its width: none is cut off.

    Qt's own least height adds up the lines that each text would have at another width.
    """

    def minimumSizeHint(self) -> QSize:
        least = super().minimumSizeHint()
        height = self.heightForWidth(max(self.width(), least.width()))
        return QSize(least.width(), height) if height >= 0 else least  # -1: no text wraps


def with_properties(made: Made, **properties: object) -> Made:
    """A widget or layout with these of Qt's properties, by their setters."""
    for name, value in properties.items():
        getattr(made, f"set{name[0].upper()}{name[1:]}")(value)
    return made
