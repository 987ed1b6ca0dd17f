"""The colours of the three themes, by what they mean. Every colour is "#rrggbb"."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokens:
    """One theme's colours. Text pairs keep WCAG contrast 4.5 (7 in high contrast), tested."""

    name: str
    dark: bool
    background: str  # the window, the bars
    surface: str  # where one reads and writes: chat, panel, inputs
    raised: str  # cards, menus, buttons
    hover: str  # a button under the pointer, a row under the pointer
    pressed: str  # a button held down, a row that is chosen
    border: str  # quiet lines between areas
    outline: str  # the edge of a control: at least 3:1 against what it lies on
    focus: str  # the frame of what has the keyboard
    text: str
    text_dim: str
    text_disabled: str
    accent: str  # the one strong colour: primary button, progress, switched on
    accent_hover: str
    accent_text: str  # on accent and accent_hover
    accent_soft: str  # a tint behind text
    link: str
    danger: str  # as text or icon on background, surface, raised
    warning: str
    success: str
    selection: str
    selection_text: str
    bubble: str  # the user's message
    bubble_text: str
    code_background: str
    code_text: str
    code_keyword: str
    code_string: str
    code_number: str
    code_comment: str
    code_name: str
    code_error: str
    scroll_handle: str
    track: str  # the empty part of sliders, bars and curves
    series: tuple[str, ...]  # nine colours for the parts of a stacked bar
    frame_px: int = 1  # width of a control's edge
    focus_px: int = 2  # width of a focus frame


_LIGHT_SERIES = (
    "#2f62c4", "#4f9bb8", "#7d6cc4", "#b07cc0", "#7f8c9d",
    "#a3aebb", "#c9d0d9", "#2f9a8a", "#b98a3e",
)  # fmt: skip
_DARK_SERIES = (
    "#7fa9ef", "#63b3c9", "#9d8ee6", "#c493d3", "#8b98a9",
    "#6b7786", "#4b5562", "#5cc2ad", "#cfa561",
)  # fmt: skip
_HIGH_CONTRAST_SERIES = (
    "#ffff00", "#00ffff", "#ffffff", "#ffb0a8", "#b8b8b8",
    "#8fd0ff", "#8a8a8a", "#00ff80", "#ff9d2e",
)  # fmt: skip

LIGHT = Tokens(
    name="light",
    dark=False,
    background="#f3f5f8",
    surface="#ffffff",
    raised="#fafbfc",
    hover="#e9edf3",
    pressed="#dde5f1",
    border="#dde2e9",
    outline="#818a99",
    focus="#2f62c4",
    text="#1c2430",
    text_dim="#586474",
    text_disabled="#8b95a3",
    accent="#2f62c4",
    accent_hover="#2754ab",
    accent_text="#ffffff",
    accent_soft="#e3ecfb",
    link="#2457b8",
    danger="#b3261e",
    warning="#855000",
    success="#1c6e45",
    selection="#2f62c4",
    selection_text="#ffffff",
    bubble="#e3ecfb",
    bubble_text="#182338",
    code_background="#f1f3f7",
    code_text="#242d3a",
    code_keyword="#7a2f9e",
    code_string="#1b6640",
    code_number="#9a4300",
    code_comment="#5b6674",
    code_name="#2457b8",
    code_error="#a02045",
    scroll_handle="#b7c0cc",
    track="#dbe1e9",
    series=_LIGHT_SERIES,
)

DARK = Tokens(
    name="dark",
    dark=True,
    background="#15181d",
    surface="#1b1f26",
    raised="#232932",
    hover="#2b323d",
    pressed="#333d4d",
    border="#2e3540",
    outline="#717d8e",
    focus="#86b0f5",
    text="#e3e7ed",
    text_dim="#a0abb9",
    text_disabled="#6c7785",
    accent="#7fa9ef",
    accent_hover="#97baf4",
    accent_text="#0f1826",
    accent_soft="#25344c",
    link="#8fb8f7",
    danger="#f2938c",
    warning="#e6b566",
    success="#7fcb9d",
    selection="#35568c",
    selection_text="#ffffff",
    bubble="#26344b",
    bubble_text="#e6ecf6",
    code_background="#12151a",
    code_text="#d9dee6",
    code_keyword="#cfa4ec",
    code_string="#93cfa4",
    code_number="#e6b07a",
    code_comment="#8c97a6",
    code_name="#8fb8f7",
    code_error="#f2a0b0",
    scroll_handle="#46505e",
    track="#333b47",
    series=_DARK_SERIES,
)

HIGH_CONTRAST = Tokens(
    name="contrast",
    dark=True,
    background="#000000",
    surface="#000000",
    raised="#000000",
    hover="#003340",
    pressed="#004a5c",
    border="#ffffff",
    outline="#ffffff",
    focus="#ffff00",
    text="#ffffff",
    text_dim="#ffffff",
    text_disabled="#b8b8b8",
    accent="#ffff00",
    accent_hover="#ffff99",
    accent_text="#000000",
    accent_soft="#003340",
    link="#00ffff",
    danger="#ffb0a8",
    warning="#ffff00",
    success="#00ffff",
    selection="#ffff00",
    selection_text="#000000",
    bubble="#001f29",
    bubble_text="#ffffff",
    code_background="#000000",
    code_text="#ffffff",
    code_keyword="#ffff00",
    code_string="#00ffff",
    code_number="#ffffff",
    code_comment="#d0d0d0",
    code_name="#ffffff",
    code_error="#ffb0a8",
    scroll_handle="#ffffff",
    track="#4d4d4d",
    series=_HIGH_CONTRAST_SERIES,
    frame_px=2,
    focus_px=4,
)
