"""The theme in force and its application to Qt.

Fusion plus a palette plus a small style sheet, the same on every system. `setColorScheme` is
asked for too, so that title bars and native dialogs follow, but nothing of ours depends on it.

Widgets opt in to the sheet by a dynamic property (`set_role`), so that it stays small and the chat
view, which draws itself, pays nothing for it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from functools import cache, partial
from html import escape
from string import Template
from typing import ClassVar

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication, QWidget
from shiboken6 import isValid

from deepseek_r1.core.paths import resources_dir
from r1desk.theme.fonts import ui_font
from r1desk.theme.tokens import DARK, HIGH_CONTRAST, LIGHT, Tokens

_Role = QPalette.ColorRole
_TURN_S = 0.01
_ENDED = object()  # no more turns
Step = Callable[[], object]


class ThemeChoice(StrEnum):
    """The user's choice of a theme."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"
    HIGH_CONTRAST = "high_contrast"


_FIXED = {
    ThemeChoice.LIGHT: LIGHT,
    ThemeChoice.DARK: DARK,
    ThemeChoice.HIGH_CONTRAST: HIGH_CONTRAST,
}


class Theme(QObject):
    """The application's theme; lives as a child of the QApplication.

    Signals:
        changed: other colours are in force; `tokens()` already returns them. For what
            paints itself or holds HTML; ordinary widgets and icons follow by themselves.
    """

    changed = Signal()
    in_force: ClassVar[Tokens] = LIGHT

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self.setObjectName("theme")
        self._app = app
        self._system_palette = QPalette(app.palette())
        self._choice = ThemeChoice.SYSTEM
        self._steps: deque[Step] = deque()
        self._turn = QTimer(self, singleShot=True, interval=0)
        self._turn.timeout.connect(self._take_step)
        app.setStyle("Fusion")
        app.setFont(ui_font(app.font()))
        hints = app.styleHints()
        hints.colorSchemeChanged.connect(self._on_system_changed)
        hints.accessibility().contrastPreferenceChanged.connect(self._on_system_changed)

    def choose(self, choice: ThemeChoice, font: QFont | None = None) -> None:
        """Apply `choice` to the application, and `font` where it is another one."""
        self._choice = choice
        hints = self._app.styleHints()
        if choice is ThemeChoice.SYSTEM:
            hints.unsetColorScheme()
        else:
            dark = _FIXED[choice].dark
            hints.setColorScheme(Qt.ColorScheme.Dark if dark else Qt.ColorScheme.Light)
        wanted = self._system_tokens() if choice is ThemeChoice.SYSTEM else _FIXED[choice]
        self._apply(wanted, font)

    @Slot()
    def _on_system_changed(self, *_unused: object) -> None:
        if self._choice is ThemeChoice.SYSTEM:
            self._apply(self._system_tokens())

    def _system_tokens(self) -> Tokens:
        hints = self._app.styleHints()
        if hints.accessibility().contrastPreference() == Qt.ContrastPreference.HighContrast:
            return HIGH_CONTRAST
        scheme = hints.colorScheme()
        if scheme == Qt.ColorScheme.Unknown:
            window = self._system_palette.color(QPalette.ColorRole.Window)
            return DARK if window.lightnessF() < 0.5 else LIGHT
        return DARK if scheme == Qt.ColorScheme.Dark else LIGHT

    def _apply(self, wanted: Tokens, font: QFont | None = None) -> None:
        Theme.in_force = wanted
        font = font or self._app.font()
        steps: tuple[Step, ...] = (
            partial(self._app.setFont, font),
            partial(self._app.setPalette, palette(wanted)),
        )
        if any(window.isVisible() for window in self._app.topLevelWidgets()):
            turns = (step() for step in steps)
            self.restyle_in_turns(stylesheet(wanted, font.pointSizeF()), turns)
        else:
            self.restyle(*steps)

    def restyle(self, *steps: Step) -> None:
        """Take the style sheet away, run `steps`, and put the sheet of the present tokens back.

        With a style sheet, Qt resolves the style of a widget and of all its children whenever it
        gets a parent, which is most of the time that building the window takes; and in place of
        another sheet, it polishes a widget again for each of its ancestors. Widgets whose sizes
        come from the style have to follow `StyleChange`.
        """
        self._app.setStyleSheet("")
        for step in (*steps, self._put_sheet_back):
            step()

    def restyle_in_turns(self, first: str, turns: Iterator[object]) -> None:
        """Put the sheet `first`, take each of `turns`, and put the sheet of the present tokens.

        For a window that is shown: in turns of the event loop of 10 to 40 ms, and nothing is
        painted meanwhile. With "" as the first, new widgets are made soonest, but those there
        are keep the fonts and palettes of the old sheet: for steps that replace them all.
        """
        for window in self._app.topLevelWidgets():
            window.setUpdatesEnabled(False)
        self._steps.extend((partial(self._put_sheet, first), partial(self._take_turn, turns)))
        if not first:  # Qt tells every widget of a first sheet: a turn of its own
            self._steps.append(partial(self._put_sheet, "QMainWindow {}"))
        self._steps.extend((self._polish_in_turns, self._end_change, self._paint_again))
        self._turn.start()

    @Slot()
    def _take_step(self) -> None:
        try:
            self._steps.popleft()()
        finally:  # what waits comes first, and a bug in a step would leave nothing painted
            if self._steps:
                self._turn.start()

    def _take_turn(self, turns: Iterator[object]) -> None:
        if next(turns, _ENDED) is not _ENDED:
            self._steps.appendleft(partial(self._take_turn, turns))

    def _end_change(self) -> None:
        if len(self._steps) == 1:  # the painting: no other change waits
            self.changed.emit()

    def _paint_again(self) -> None:
        for window in self._app.topLevelWidgets() if not self._steps else ():
            window.setUpdatesEnabled(True)
            window.repaint()  # on X11 an update that was asked for meanwhile would never come

    def _put_sheet(self, sheet: str) -> list[QWidget]:
        """Change the style sheet only; return what has to be polished again, parents first.

        Qt's `setStyleSheet` would polish all of it at once. A font is taken from the parent's.
        """
        done = Qt.WidgetAttribute.WA_WState_Polished
        windows = [each for each in self._app.topLevelWidgets() if each.parent() is None]
        there = [each for window in windows for each in (window, *window.findChildren(QWidget))]
        polished = [each for each in there if each.testAttribute(done)]
        for each in polished:
            each.setAttribute(done, False)
        self._app.style().unpolish(self._app)  # clears the cache of what a sheet has styled
        self._app.setStyleSheet(sheet)
        for each in polished:
            each.setAttribute(done)
        return polished

    def _polish_in_turns(self) -> None:
        polished = self._put_sheet(self._sheet())

        def changed(widget: QWidget) -> None:
            self._app.sendEvent(widget, QEvent(QEvent.Type.StyleChange))

        # What follows the change may measure others, which need their fonts before.
        for work in (changed, lambda widget: self._app.style().polish(widget)):  # of that turn
            self._steps.appendleft(partial(self._work_through, iter(polished), work))

    def _work_through(self, left: Iterator[QWidget], work: Callable[[QWidget], object]) -> None:
        """Do `work` to some of these widgets, and to the others in a later turn."""
        self._steps.appendleft(partial(self._work_through, left, work))  # after a bug in one too
        end = time.monotonic() + _TURN_S
        for widget in filter(isValid, left):
            work(widget)
            if time.monotonic() > end:
                return
        self._steps.popleft()

    def _put_sheet_back(self) -> None:
        self._app.setStyleSheet(self._sheet())
        self.changed.emit()

    def _sheet(self) -> str:
        return stylesheet(Theme.in_force, self._app.font().pointSizeF())


def find_theme(app: QCoreApplication | None) -> Theme:
    """Return the theme of `app`, which is made where there is none yet."""
    assert isinstance(app, QApplication)  # noqa: S101 - for the type checker
    return app.findChild(Theme) or Theme(app)


def apply_theme(app: QApplication, choice: ThemeChoice, font: QFont | None = None) -> Theme:
    """Apply `choice` to `app` and follow the system; may be called again with another choice."""
    theme = find_theme(app)
    theme.choose(choice, font)
    return theme


def tokens() -> Tokens:
    """The colours in force; the light ones before `apply_theme`."""
    return Theme.in_force


def palette(tokens: Tokens) -> QPalette:
    """The QPalette of `tokens`, disabled and inactive groups included."""
    colours = {
        _Role.Window: tokens.background,
        _Role.WindowText: tokens.text,
        _Role.Base: tokens.surface,
        _Role.AlternateBase: tokens.raised,
        _Role.Text: tokens.text,
        _Role.PlaceholderText: tokens.text_dim,
        _Role.Button: tokens.raised,
        _Role.ButtonText: tokens.text,
        _Role.BrightText: tokens.danger,
        _Role.ToolTipBase: tokens.raised,
        _Role.ToolTipText: tokens.text,
        _Role.Highlight: tokens.selection,
        _Role.HighlightedText: tokens.selection_text,
        _Role.Accent: tokens.accent,
        _Role.Link: tokens.link,
        _Role.LinkVisited: tokens.link,
        _Role.Light: tokens.hover,
        _Role.Midlight: tokens.hover,
        _Role.Mid: tokens.border,
        _Role.Dark: tokens.outline,
        _Role.Shadow: tokens.outline,
    }
    result = QPalette()
    for role, colour in colours.items():
        result.setColor(role, QColor(colour))
    for role in (_Role.WindowText, _Role.Text, _Role.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(tokens.text_disabled))
    result.setColor(QPalette.ColorGroup.Disabled, _Role.Highlight, QColor(tokens.track))
    result.setColor(QPalette.ColorGroup.Disabled, _Role.Accent, QColor(tokens.track))
    return result


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

    Buttons: primary, danger, fold, pill. Check boxes: bare, for one without words. Labels:
    dim, danger, alarm, warning, success, heading, badge, drop. Frames: card, bar, rule. An
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
