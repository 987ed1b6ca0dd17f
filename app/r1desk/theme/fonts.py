"""The system's own fonts, followed by families with Chinese glyphs, one of which is bundled."""

import sys
from functools import cache

from PySide6.QtGui import QFont, QFontDatabase, QFontInfo

from deepseek_r1.core import log
from deepseek_r1.core.paths import resources_dir

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
BUNDLED_FAMILY = "R1 Desk SC"  # a subset of Noto Sans SC, by installer/fonts.py
BUNDLED_FILES = ("r1desk-sc.ttf", "r1desk-sc-semibold.ttf")  # the second is its bold
# What a Linux without a font of its own falls back to; our font is made for reading on screens.
_LAST_RESORTS = ("DejaVu Sans", "Bitstream Vera Sans", "FreeSans")
_MONO_FAMILIES = ("Cascadia Mono", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono")
_MONO_SCALE = 0.94  # fixed-width families look larger than others of the same size


def ui_font(base: QFont) -> QFont:
    """`base` (the system's) followed by the Chinese families, its size in points."""
    font = QFont(base)
    if base.pointSizeF() <= 0:
        font.setPointSizeF(base.pixelSize() * 0.75)
    # The system may name an alias ("Sans Serif"): asked for first, it would lose to a Chinese font.
    own = [QFontInfo(base).family(), *base.families()]
    if own[0] in _LAST_RESORTS and bundled_families():
        own = [BUNDLED_FAMILY, *own]
    font.setFamilies(list(dict.fromkeys([*own, *chinese_families()])))
    return font


def chinese_families() -> list[str]:
    """The families to take Chinese glyphs from, the first first.

    The bundled one goes before those of Linux, whose files with all of Chinese, Japanese and Korean
    cost 5 MB more memory and a tenth of a second; Windows and macOS have fonts of their own.
    """
    bundled = bundled_families()
    if sys.platform in ("win32", "darwin"):
        return [*CJK_FAMILIES, *bundled]
    return [*bundled, *CJK_FAMILIES]


@cache
def bundled_families() -> tuple[str, ...]:
    """Registers the bundled font once; empty where a file is missing or unusable."""
    folder = resources_dir() / "fonts"
    number, *more = [QFontDatabase.addApplicationFont(str(folder / f)) for f in BUNDLED_FILES]
    if min(number, *more) < 0:
        log.window.warning("the bundled font cannot be used")
        return ()
    return tuple(QFontDatabase.applicationFontFamilies(number))


def mono(font: QFont) -> QFont:
    """The system's fixed-width font, to stand beside `font`."""
    result = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    result.setFamilies(list(dict.fromkeys([result.family(), *_MONO_FAMILIES, *chinese_families()])))
    result.setStyleHint(QFont.StyleHint.Monospace)
    result.setPointSizeF(font.pointSizeF() * _MONO_SCALE)
    return result


def scaled(font: QFont, factor: float) -> QFont:
    """`font` larger or smaller."""
    result = QFont(font)
    result.setPointSizeF(font.pointSizeF() * factor)
    return result
