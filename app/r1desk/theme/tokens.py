"""The colours of the three themes, by what they mean. Every colour is "#rrggbb"."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokens:
    """One theme's colours. Text pairs keep WCAG contrast 4.5 (7 in high contrast), tested."""

    name: str
    dark: bool
    frame_px: int  # width of a control's edge
    focus_px: int  # width of a focus frame
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
    track: str  # the empty part of sliders and bars
    second_part: str  # of a bar whose first part is in the colour `accent`
    third_part: str


# Light, dark, high contrast.
_COLOURS = {
    "background": ("#f3f5f8", "#15181d", "#000000"),
    "surface": ("#ffffff", "#1b1f26", "#000000"),
    "raised": ("#fafbfc", "#232932", "#000000"),
    "hover": ("#e9edf3", "#2b323d", "#003340"),
    "pressed": ("#dde5f1", "#333d4d", "#004a5c"),
    "border": ("#dde2e9", "#2e3540", "#ffffff"),
    "outline": ("#818a99", "#717d8e", "#ffffff"),
    "focus": ("#2f62c4", "#86b0f5", "#ffff00"),
    "text": ("#1c2430", "#e3e7ed", "#ffffff"),
    "text_dim": ("#586474", "#a0abb9", "#ffffff"),
    "text_disabled": ("#8b95a3", "#6c7785", "#b8b8b8"),
    "accent": ("#2f62c4", "#7fa9ef", "#ffff00"),
    "accent_hover": ("#2754ab", "#97baf4", "#ffff99"),
    "accent_text": ("#ffffff", "#0f1826", "#000000"),
    "accent_soft": ("#e3ecfb", "#25344c", "#003340"),
    "link": ("#2457b8", "#8fb8f7", "#00ffff"),
    "danger": ("#b3261e", "#f2938c", "#ffb0a8"),
    "warning": ("#855000", "#e6b566", "#ffff00"),
    "success": ("#1c6e45", "#7fcb9d", "#00ffff"),
    "selection": ("#2f62c4", "#35568c", "#ffff00"),
    "selection_text": ("#ffffff", "#ffffff", "#000000"),
    "bubble": ("#e3ecfb", "#26344b", "#001f29"),
    "bubble_text": ("#182338", "#e6ecf6", "#ffffff"),
    "code_background": ("#f1f3f7", "#12151a", "#000000"),
    "code_text": ("#242d3a", "#d9dee6", "#ffffff"),
    "code_keyword": ("#7a2f9e", "#cfa4ec", "#ffff00"),
    "code_string": ("#1b6640", "#93cfa4", "#00ffff"),
    "code_number": ("#9a4300", "#e6b07a", "#ffffff"),
    "code_comment": ("#5b6674", "#8c97a6", "#d0d0d0"),
    "code_name": ("#2457b8", "#8fb8f7", "#ffffff"),
    "code_error": ("#a02045", "#f2a0b0", "#ffb0a8"),
    "scroll_handle": ("#b7c0cc", "#46505e", "#ffffff"),
    "track": ("#dbe1e9", "#333b47", "#4d4d4d"),
    "second_part": ("#4f9bb8", "#63b3c9", "#00ffff"),
    "third_part": ("#a3aebb", "#6b7786", "#8fd0ff"),
}


def _theme(column: int, name: str, *, dark: bool, frame_px: int, focus_px: int) -> Tokens:
    colours = {meaning: row[column] for meaning, row in _COLOURS.items()}
    return Tokens(name, dark, frame_px, focus_px, **colours)


LIGHT = _theme(0, "light", dark=False, frame_px=1, focus_px=2)
DARK = _theme(1, "dark", dark=True, frame_px=1, focus_px=2)
HIGH_CONTRAST = _theme(2, "contrast", dark=True, frame_px=2, focus_px=4)
