"""The bundled font: complete for our texts, usable for English, and used only where it should."""

import sys

import pytest
from babel.messages.pofile import read_po
from PySide6.QtGui import QFont, QFontInfo, QFontMetricsF, QRawFont
from PySide6.QtWidgets import QApplication

from deepseek_r1.core.paths import resources_dir
from r1desk.theme import fonts
from r1desk.theme.fonts import BUNDLED_FAMILY, chinese_families, ui_font

FILE, BOLD_FILE = (resources_dir() / "fonts" / name for name in fonts.BUNDLED_FILES)
FROM_OTHERS = set("·×÷•⟨⟩\n")  # as wide as a Chinese character there: left to the next font


@pytest.fixture
def raw(qapp: QApplication) -> QRawFont:
    font = QRawFont(str(FILE), 16.0)
    assert font.isValid()
    return font


def test_it_has_every_character_of_the_chinese_texts(raw: QRawFont) -> None:
    with (resources_dir() / "translations/zh_CN/LC_MESSAGES/r1desk.po").open("rb") as file:
        texts = "".join(str(message.string) for message in read_po(file))
    missing = {c for c in texts if not raw.supportsCharacter(ord(c))} - FROM_OTHERS
    assert missing == set()


def test_it_has_the_characters_of_gb_2312(raw: QRawFont) -> None:
    common = [
        bytes((high, low)).decode("gb2312")
        for high in range(0xB0, 0xD7)
        for low in range(0xA1, 0xFF)
    ]
    assert [c for c in common if not raw.supportsCharacter(ord(c))] == []


def test_quotation_marks_in_it_are_as_narrow_as_in_latin_text(qapp: QApplication) -> None:
    ui_font(qapp.font())
    metrics = QFontMetricsF(QFont(BUNDLED_FAMILY, 20))
    assert metrics.horizontalAdvance("“") < metrics.horizontalAdvance("中") / 1.8


def test_nothing_in_it_is_thickened_by_qt(qapp: QApplication) -> None:
    """Its bold is a face of its own with the same characters, which every heavier weight gets."""
    ui_font(qapp.font())
    plain, bold = (QRawFont(str(path), 16.0) for path in (FILE, BOLD_FILE))
    assert bold.supportedWritingSystems() == plain.supportedWritingSystems()
    assert [
        n for n in range(1 << 16) if plain.supportsCharacter(n) != bold.supportsCharacter(n)
    ] == []
    for weight in (QFont.Weight.DemiBold, QFont.Weight.Bold):
        shown = QFont(BUNDLED_FAMILY, 20, weight)
        widths = [QFontMetricsF(shown).horizontalAdvance(c) for c in "AxW"]
        bold.setPixelSize(QFontInfo(shown).pixelSize())
        advances = bold.advancesForGlyphIndexes(bold.glyphIndexesForString("AxW"))
        assert widths == pytest.approx([point.x() for point in advances], abs=0.5)


def test_it_comes_with_its_licence() -> None:
    assert "SIL Open Font License" in FILE.with_name("r1desk-sc.LICENSE.txt").read_text("utf-8")


def test_the_system_font_stays_first_unless_it_is_a_last_resort(qapp, monkeypatch):
    class Info:
        family_name = ""

        def __init__(self, _font: QFont) -> None:
            pass

        def family(self) -> str:
            return self.family_name

    monkeypatch.setattr(fonts, "QFontInfo", Info)
    for name, first in (("Cantarell", "Cantarell"), ("DejaVu Sans", BUNDLED_FAMILY)):
        Info.family_name = name
        families = ui_font(QFont(name)).families()
        assert families[0] == first
        assert BUNDLED_FAMILY in families


@pytest.mark.parametrize(("platform", "first"), [("linux", True), ("win32", False)])
def test_where_the_system_has_a_chinese_font_of_its_own_that_is_used(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch, platform: str, first: bool
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    families = chinese_families()
    assert (families[0] == BUNDLED_FAMILY) is first
    assert BUNDLED_FAMILY in families


def test_without_its_file_the_system_fonts_are_used(qapp, monkeypatch):
    fonts.bundled_families.cache_clear()
    monkeypatch.setattr(fonts, "BUNDLED_FILES", ("not there.ttf",) * 2)
    try:
        assert BUNDLED_FAMILY not in ui_font(QFont("DejaVu Sans")).families()
    finally:
        fonts.bundled_families.cache_clear()
