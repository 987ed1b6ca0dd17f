"""The system's own fonts, with families that can write Chinese behind them."""

from __future__ import annotations

from PySide6.QtGui import QFont, QFontDatabase, QFontInfo

# Where the first family has no glyph, Qt asks the next: one list serves all systems.
CJK_FAMILIES = (
    "Microsoft YaHei UI",
    "PingFang SC",
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft JhengHei UI",
    "PingFang TC",
    "Noto Sans CJK TC",
)
_MONO_FAMILIES = ("Cascadia Mono", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono")


def ui_font(base: QFont) -> QFont:
    """`base` (the system's) with the Chinese families behind its own."""
    font = QFont(base)
    # The system may name an alias ("Sans Serif"): asked for first, it would lose to a Chinese font.
    own = [QFontInfo(base).family(), *base.families()]
    font.setFamilies(list(dict.fromkeys([*own, *CJK_FAMILIES])))
    return font


def mono_font(size_pt: float | None = None) -> QFont:
    """For code: the system's fixed-width font; `size_pt` None keeps its size."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setFamilies(list(dict.fromkeys([font.family(), *_MONO_FAMILIES, *CJK_FAMILIES])))
    font.setStyleHint(QFont.StyleHint.Monospace)
    if size_pt is not None:
        font.setPointSizeF(size_pt)
    return font
