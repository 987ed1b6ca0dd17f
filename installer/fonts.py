#!/usr/bin/env python3
"""Makes the bundled font, two weights of a subset of Noto Sans SC for simplified Chinese.

    python installer/fonts.py package     # writes resources/fonts/r1desk-sc*.ttf

`package` is the unpacked npm package @expo-google-fonts/noto-sans-sc 0.4.3 (`npm pack`), which has
Google's Noto Sans SC as TrueType under the SIL Open Font License. Needs fonttools. Kept are Latin,
Greek and Cyrillic letters, punctuation, arrows, mathematical signs and all characters of GB 2312
(6,763 Chinese ones, 99.9 % of modern text). SemiBold is the family's bold; it has the same
characters, so that none is smeared or taken from elsewhere. The family is renamed: beside a
complete Noto Sans SC of the system, two fonts of one name would be confused, and the licence allows
that. Two things are changed because the font is used for English as well: quotation marks and the
ellipsis are those of Latin text, and lines are 1.24 em high in place of 1.45.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "resources" / "fonts"
FAMILY = "R1 Desk SC"
RANGES = (
    (0x20, 0x17F),
    (0x2C6, 0x2DD),
    (0x384, 0x3FF),
    (0x401, 0x45F),
    (0x2010, 0x205E),
    (0x20AC, 0x20AC),
    (0x2100, 0x21FF),
    (0x2200, 0x22FF),
    (0x2300, 0x23FF),
    (0x2460, 0x24FF),
    (0x2500, 0x25FF),
    (0x2600, 0x26FF),
    (0x2713, 0x2718),
    (0x3000, 0x303F),
    (0x3105, 0x312F),
    (0xFF01, 0xFF5E),
    (0xFFE0, 0xFFE6),
)
# As wide as a Chinese character in this font; without them the next family's are used.
WIDE_SIGNS = "·×÷•"
ASCENT, DESCENT = 1000, -240  # of 1,000 units; the characters themselves reach 880 and -120


def characters() -> set[int]:
    """The code points to keep."""
    kept = {code for first, last in RANGES for code in range(first, last + 1)}
    for high in range(0xA1, 0xF8):
        for low in range(0xA1, 0xFF):
            try:
                kept.update(map(ord, bytes((high, low)).decode("gb2312")))
            except UnicodeDecodeError:
                continue
    return kept


def use_latin_widths(font: TTFont) -> None:
    """Give quotation marks and the ellipsis the glyphs of `pwid`; leave out other wide signs."""
    table = font["GSUB"].table
    narrow: dict[str, str] = {}
    for record in table.FeatureList.FeatureRecord:
        if record.FeatureTag == "pwid":
            for index in record.Feature.LookupListIndex:
                for subtable in table.LookupList.Lookup[index].SubTable:
                    narrow.update(getattr(subtable, "ExtSubTable", subtable).mapping)
    for cmap in font["cmap"].tables:
        for sign in "‘’“”…":
            name = cmap.cmap.get(ord(sign))
            if name in narrow:
                cmap.cmap[ord(sign)] = narrow[name]
        for sign in WIDE_SIGNS:
            cmap.cmap.pop(ord(sign), None)


def set_line_height(font: TTFont) -> None:
    """Set the height of a line in all three places where systems look for it."""
    font["hhea"].ascent, font["hhea"].descent, font["hhea"].lineGap = ASCENT, DESCENT, 0
    metrics = font["OS/2"]
    metrics.sTypoAscender, metrics.sTypoDescender, metrics.sTypoLineGap = ASCENT, DESCENT, 0
    metrics.usWinAscent, metrics.usWinDescent = ASCENT, -DESCENT


def make(source: Path, target: Path, style: str, *, bold: bool) -> None:
    """Write the subset of one weight."""
    font = TTFont(source, recalcTimestamp=False)
    use_latin_widths(font)
    options = Options()
    options.layout_features = ["kern", "mark", "mkmk", "ccmp", "locl"]
    options.hinting = False
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]  # the licence and the copyright stay
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters())
    subsetter.subset(font)
    full = f"{FAMILY} {style}"
    names = {1: FAMILY, 2: style, 3: full, 4: full if bold else FAMILY, 6: f"R1DeskSC-{style}"}
    for record in list(font["name"].names):
        if record.nameID in names:
            font["name"].setName(
                names[record.nameID],
                record.nameID,
                record.platformID,
                record.platEncID,
                record.langID,
            )
    set_line_height(font)
    if bold:  # or Qt would thicken it once more where bold is asked for
        font["OS/2"].usWeightClass = 700
        font["OS/2"].fsSelection = font["OS/2"].fsSelection & ~0x40 | 0x20
        font["head"].macStyle |= 1
    font.save(target)
    print(f"{target}: {target.stat().st_size:,} bytes, {font['maxp'].numGlyphs:,} glyphs")


def main() -> int:
    """Write both weights of the package that the one argument names."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    package = Path(sys.argv[1])
    regular = package / "400Regular" / "NotoSansSC_400Regular.ttf"
    semibold = package / "600SemiBold" / "NotoSansSC_600SemiBold.ttf"
    make(regular, FOLDER / "r1desk-sc.ttf", "Regular", bold=False)
    make(semibold, FOLDER / "r1desk-sc-semibold.ttf", "Bold", bold=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
