"""The passages of documents that an answer was given: a line, and a menu of all of them."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import text_button
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import OpenAttachment, Request
from r1desk.store import AnswerSources
from r1desk.theme.fonts import scaled

_MOST = 40  # passages in the menu
_TOOLTIP = 600  # characters


def sources_button(
    sources: AnswerSources, style: TextStyle, request: Request, parent: QWidget
) -> QToolButton:
    """A button with the line; each passage of its menu is shown in its document."""
    button = text_button("chevron-down", sources.summary(), parent)
    button.setFont(scaled(style.font, 0.9))

    menu = QMenu(button, toolTipsVisible=True)

    def fill() -> None:
        names = sources.names()
        for source in sources.shown()[:_MOST] if menu.isEmpty() else ():
            cited = tr("cited") if source.cited else tr("not cited")
            text = fit.code(f"[{source.n}] {names[source.n]} · {cited}").replace("&", "&&")
            entry = menu.addAction(text, partial(request, OpenAttachment(source.passage)))
            entry.setToolTip(fit.plain_tooltip(source.passage.text[:_TOOLTIP]))

    menu.aboutToShow.connect(fill)
    button.setMenu(menu)
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    return button
