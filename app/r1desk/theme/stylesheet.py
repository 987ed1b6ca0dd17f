"""The small style sheet for what a palette cannot express: corners, scroll bars, focus frames.

Widgets opt in by dynamic property (`set_role`), so that the sheet stays small and the chat view,
which draws itself, pays nothing for it.
"""

from dataclasses import asdict
from functools import cache
from html import escape
from string import Template

from PySide6.QtWidgets import QApplication, QWidget

from deepseek_r1.core.paths import resources_dir
from r1desk.theme.tokens import Tokens


@cache
def _sheet() -> Template:
    path = resources_dir() / "themes" / "window.qss"
    return Template(path.read_text(encoding="utf-8"))


def stylesheet(tokens: Tokens, text_pt: float) -> str:
    """The style sheet of `tokens` around text of `text_pt` points.

    Widths that grow with focus are taken from the padding.
    """
    grow = tokens.focus_px - tokens.frame_px
    handle = 22 if tokens.focus_px > 2 else 14
    measures = {
        "icons": (resources_dir() / "icons").as_posix(),
        "small_pt": max(7.0, text_pt - 1.5),
        "drop_pt": text_pt * 1.4,
        "pad": 3 + grow,
        "pad_side": 6 + grow,
        "pad_button_focus": 5 - grow,
        "side_button_focus": 12 - grow,
        "pad_list_focus": max(0, 4 - grow),
        "slider_height": handle + 6,
        "handle_px": tokens.focus_px + 1,
        "handle_width": handle - 2 * (tokens.focus_px + 1),
        "handle_margin": -(handle - 4) // 2,
        "handle_radius": handle // 2,
    }
    return _sheet().substitute(asdict(tokens) | measures)


def set_role(widget: QWidget, role: str) -> None:
    """Give `widget` one of the sheet's roles, also after it was shown.

    Buttons: primary, danger, fold, pill, round. Check boxes: bare, for one without words. Labels:
    dim, danger, alarm, warning, success, heading, badge, key, drop. Frames: card, bar, rule. An
    empty role takes it back.
    """
    if widget.property("role") == role:
        return
    widget.setProperty("role", role)
    # The application's own style: one of a widget may be gone from C++ before its wrapper is, and
    # another object at its address would then answer to it.
    style = QApplication.style()
    style.unpolish(widget)
    style.polish(widget)


def explain(widget: QWidget, text: str) -> None:
    """Give `widget` a tooltip of one sentence or more, and screen readers the same text.

    Qt breaks rich text into lines; a plain sentence would be one line across the screen.
    """
    widget.setToolTip(f"<qt>{escape(text)}</qt>" if text else "")
    widget.setAccessibleDescription(text)
