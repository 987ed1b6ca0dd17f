"""The themes can be read by everyone and follow the user's choice."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

from deepseek_r1.core.paths import resources_dir
from r1desk.theme import ThemeChoice, app_icon, apply_theme, explain, icon, set_role, tokens
from r1desk.theme.fonts import CJK_FAMILIES
from r1desk.theme.tokens import DARK, HIGH_CONTRAST, LIGHT, Tokens
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar

THEMES = [LIGHT, DARK, HIGH_CONTRAST]
ICONS = sorted(path.stem for path in (resources_dir() / "icons").glob("*.svg"))
AREAS = ("background", "surface", "raised")
INKS = ("text", "text_dim", "link", "danger", "warning", "success")
PAIRS = [
    *itertools.product(INKS, AREAS),
    *itertools.product(("text",), ("hover", "pressed", "accent_soft")),
    *itertools.product(("text_dim",), ("hover", "pressed")),
    ("link", "accent_soft"),
    ("accent_text", "accent"),
    ("accent_text", "accent_hover"),
    ("selection_text", "selection"),
    ("bubble_text", "bubble"),
    *(
        (f"code_{kind}", "code_background")
        for kind in ["text", "keyword", "string", "number", "comment", "name", "error"]
    ),
]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda t: t.name)
@pytest.mark.parametrize(("ink", "area"), PAIRS)
def test_text_can_be_read(theme: Tokens, ink: str, area: str):
    wanted = 7.0 if theme is HIGH_CONTRAST else 4.5
    assert contrast(getattr(theme, ink), getattr(theme, area)) >= wanted


@pytest.mark.parametrize("theme", THEMES, ids=lambda t: t.name)
@pytest.mark.parametrize("edge", ["outline", "focus", "accent"])
@pytest.mark.parametrize("area", AREAS)
def test_edges_of_controls_can_be_seen(theme: Tokens, edge: str, area: str):
    assert contrast(getattr(theme, edge), getattr(theme, area)) >= 3.0


def test_high_contrast_frames_what_has_the_focus_thickly():
    assert HIGH_CONTRAST.focus_px >= 4
    assert contrast(HIGH_CONTRAST.focus, HIGH_CONTRAST.background) >= 7.0


@pytest.mark.parametrize(
    ("choice", "theme"),
    [
        (ThemeChoice.LIGHT, LIGHT),
        (ThemeChoice.DARK, DARK),
        (ThemeChoice.HIGH_CONTRAST, HIGH_CONTRAST),
    ],
)
def test_a_choice_reaches_tokens_and_palette(qapp, choice, theme):
    apply_theme(qapp, choice)
    assert tokens() is theme
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == theme.background
    assert qapp.palette().color(QPalette.ColorRole.Text).name() == theme.text


def test_choosing_again_tells_those_who_paint_themselves(qapp: QApplication, qtbot):
    theme = apply_theme(qapp, ThemeChoice.LIGHT)
    with qtbot.waitSignal(theme.changed):
        assert apply_theme(qapp, ThemeChoice.DARK) is theme


def test_the_system_is_followed_only_when_asked_for(qapp: QApplication):
    theme = apply_theme(qapp, ThemeChoice.SYSTEM)
    followed = tokens()
    assert followed in (LIGHT, DARK, HIGH_CONTRAST)
    theme.choose(ThemeChoice.HIGH_CONTRAST)
    qapp.styleHints().colorSchemeChanged.emit(qapp.styleHints().colorScheme())
    assert tokens() is HIGH_CONTRAST
    theme.choose(ThemeChoice.SYSTEM)
    assert tokens() is followed


def test_a_change_of_the_system_is_followed_live(qapp: QApplication, monkeypatch):
    theme = apply_theme(qapp, ThemeChoice.SYSTEM)
    other = DARK if tokens() is LIGHT else LIGHT
    monkeypatch.setattr(theme, "_system_tokens", lambda: other)
    qapp.styleHints().colorSchemeChanged.emit(qapp.styleHints().colorScheme())
    assert tokens() is other


def test_fonts_can_write_chinese_and_are_not_piled_up(qapp: QApplication):
    apply_theme(qapp, ThemeChoice.LIGHT)
    apply_theme(qapp, ThemeChoice.DARK)
    families = qapp.font().families()
    assert set(CJK_FAMILIES) <= set(families)
    assert len(families) == len(set(families))


@pytest.mark.parametrize("field", [QLineEdit, QPlainTextEdit])
def test_hints_in_empty_fields_keep_their_contrast(qapp: QApplication, qtbot, field: type[QWidget]):
    apply_theme(qapp, ThemeChoice.HIGH_CONTRAST)
    widget = field()
    qtbot.addWidget(widget)
    widget.ensurePolished()
    colour = widget.palette().color(QPalette.ColorRole.PlaceholderText)
    assert (colour.name(), colour.alpha()) == (HIGH_CONTRAST.text_dim, 255)


def drawn_share(picture: QPixmap) -> float:
    image = picture.toImage().convertToFormat(QImage.Format.Format_ARGB32)
    solid = sum(
        image.pixelColor(x, y).alpha() > 100
        for x in range(image.width())
        for y in range(image.height())
    )
    return solid / (image.width() * image.height())


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_draws_something_at_every_size(qapp: QApplication, name: str):
    for size_px in (16, 24, 48):
        picture = icon(name).pixmap(QSize(size_px, size_px))
        assert picture.width() >= size_px
        assert 0.01 < drawn_share(picture) < 0.95


def test_an_icon_is_sharp_on_a_dense_screen(qapp: QApplication):
    picture = icon("search").pixmap(QSize(16, 16), 2.0)
    assert picture.size() == QSize(32, 32)
    assert picture.devicePixelRatio() == 2.0


def colour_of(picture: QPixmap) -> str:
    """The colour in the middle of the stop sign, which is filled."""
    image = picture.toImage()
    return image.pixelColor(image.width() // 2, image.height() // 2).name()


def test_icons_take_the_colour_of_the_theme_in_force(qapp: QApplication):
    stop = icon("stop", "danger")
    for choice, theme in ((ThemeChoice.LIGHT, LIGHT), (ThemeChoice.DARK, DARK)):
        apply_theme(qapp, choice)
        assert colour_of(stop.pixmap(QSize(24, 24))) == theme.danger
        disabled = stop.pixmap(QSize(24, 24), QIcon.Mode.Disabled)
        assert colour_of(disabled) == theme.text_disabled


@pytest.mark.parametrize("role", ["", "primary"])
def test_a_button_that_cannot_be_used_keeps_an_edge(qapp: QApplication, qtbot, role: str):
    button = QPushButton("Use this model")
    button.setEnabled(False)
    set_role(button, role)
    qtbot.addWidget(button)
    for theme in (ThemeChoice.LIGHT, ThemeChoice.DARK, ThemeChoice.HIGH_CONTRAST):
        apply_theme(qapp, theme)
        button.ensurePolished()
        image = button.grab().toImage()
        edge = image.pixelColor(0, image.height() // 2).name()
        assert edge == tokens().text_disabled


def test_icons_outlive_their_copies(qapp: QApplication, qtbot):
    button = QPushButton(icon("send"), "")
    qtbot.addWidget(button)
    for _ in range(50):
        copy = QIcon(button.icon())
        copy.addPixmap(QPixmap(8, 8))  # detaches: the engine is cloned
        target = QPixmap(24, 24)
        target.fill(QColor("white"))
        painter = QPainter(target)
        copy.paint(painter, target.rect())
        painter.end()
        del copy
    assert drawn_share(button.icon().pixmap(QSize(24, 24))) > 0.01


def test_the_application_icon_has_all_sizes(qapp: QApplication):
    assert {size.width() for size in app_icon().availableSizes()} >= {16, 32, 48, 256}


def test_a_long_tooltip_breaks_into_lines_and_takes_no_markup(qtbot) -> None:
    widget = QWidget()
    qtbot.addWidget(widget)
    explain(widget, "/models/<b>bold</b>.gguf")
    assert widget.toolTip() == "<qt>/models/&lt;b&gt;bold&lt;/b&gt;.gguf</qt>"
    assert widget.accessibleDescription() == "/models/<b>bold</b>.gguf"
    explain(widget, "")
    assert not widget.toolTip()


def test_an_icon_in_a_selected_row_is_seen_on_the_selection(qapp: QApplication) -> None:
    apply_theme(qapp, ThemeChoice.LIGHT)
    shown = icon("check", "success").pixmap(QSize(32, 32), QIcon.Mode.Selected).toImage()
    inks = {
        shown.pixelColor(x, y).name()
        for x in range(32)
        for y in range(32)
        if shown.pixelColor(x, y).alpha() == 255
    }
    assert inks == {LIGHT.selection_text}


@pytest.mark.qt_log_ignore("This plugin does not support")
@pytest.mark.parametrize(
    ("choice", "current"), [(ThemeChoice.LIGHT, 2), (ThemeChoice.HIGH_CONTRAST, 0)]
)
def test_the_last_entry_of_a_drop_down_is_not_cut(qtbot, choice, current):
    apply_theme(QApplication.instance(), choice)
    combo = QComboBox()
    combo.addItems(["Hugging Face", "hf-mirror", "ModelScope"])
    combo.setCurrentIndex(current)
    qtbot.addWidget(combo)
    combo.show()
    qtbot.waitExposed(combo)
    qtbot.mouseClick(combo, Qt.MouseButton.LeftButton)
    view = combo.view()
    qtbot.waitUntil(view.isVisible)
    for row in range(combo.count()):
        shown = view.visualRect(combo.model().index(row, 0))
        assert view.viewport().rect().contains(shown)
    combo.hidePopup()


def test_a_shown_window_takes_up_the_newest_of_two_choices_and_is_painted_again(qapp, qtbot):
    theme = apply_theme(qapp, ThemeChoice.LIGHT)
    field = QLineEdit()
    qtbot.addWidget(field)
    field.show()
    theme.choose(ThemeChoice.HIGH_CONTRAST)
    theme.choose(ThemeChoice.DARK)
    assert not field.updatesEnabled()
    qtbot.waitUntil(field.updatesEnabled)
    assert tokens() is DARK
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == DARK.background
    assert DARK.surface in qapp.styleSheet()


class Failing(QWidget):
    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.StyleChange:
            raise ValueError("a bug")


def test_a_bug_in_one_widget_leaves_the_window_painted_and_the_others_in_the_new_theme(qapp, qtbot):
    apply_theme(qapp, ThemeChoice.LIGHT)
    window = QWidget()
    qtbot.addWidget(window)
    Failing(window)
    label = QLabel("after it", window)
    window.show()
    with qtbot.captureExceptions() as bugs:
        theme = apply_theme(qapp, ThemeChoice.DARK)
        qtbot.waitUntil(window.updatesEnabled)
        qtbot.wait(50)
    assert len(bugs) == 1
    assert not theme._turn.isActive()
    assert label.palette().windowText().color() == QColor(DARK.text)
    apply_theme(qapp, ThemeChoice.LIGHT)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="there is no screen to look at")
def test_on_x11_the_dialog_in_which_a_theme_was_chosen_is_painted_in_it() -> None:
    server = ["Xvfb", "-displayfd", "1", "-nolisten", "tcp"]
    with subprocess.Popen(server, stdout=PIPE, stderr=DEVNULL, text=True) as screen:
        try:
            shown_at = {"DISPLAY": f":{screen.stdout.readline().strip()}", "QT_QPA_PLATFORM": "xcb"}
            command = [sys.executable, Path(__file__).with_name("change_on_x11.py")]
            lightness = subprocess.check_output(command, env={**os.environ, **shown_at}, timeout=60)
        finally:
            screen.terminate()
    assert int(lightness) < 100, "it is still light"


def test_the_edge_of_a_notice_is_straight(qapp, qtbot):
    apply_theme(qapp, ThemeChoice.LIGHT)
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.resize(400, 100)
    bar.show_notice(Notice("It failed.", Level.ERROR))
    bar.show()
    notice = bar.findChild(QWidget, "notice")
    assert notice is not None
    edge = notice.grab().toImage()
    corners = {edge.pixelColor(0, y).name() for y in (2, edge.height() // 2, edge.height() - 3)}
    assert corners == {QColor(LIGHT.danger).name()}
