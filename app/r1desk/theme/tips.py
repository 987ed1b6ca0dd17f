"""Tooltips that are longer than a few words."""

from __future__ import annotations

from html import escape

from PySide6.QtWidgets import QWidget


def explain(widget: QWidget, text: str) -> None:
    """Give `widget` a tooltip of one sentence or more, and screen readers the same text.

    Qt breaks rich text into lines; a plain sentence would be one line across the screen.
    """
    widget.setToolTip(f"<qt>{escape(text)}</qt>" if text else "")
    widget.setAccessibleDescription(text)
