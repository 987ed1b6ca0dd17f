"""The application's controls as a screen reader sees them: found by role and English name."""

from __future__ import annotations

import gettext
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib

TRANSLATIONS = Path(__file__).resolve().parents[2] / "resources" / "translations"
_DIALOGS = {"dialog", "alert", "file chooser"}


class NotSeen(Exception):
    """What was waited for did not come."""


@dataclass(frozen=True)
class Control:
    """A control that was found. `box` is x, y, width, height in the screen's pixels."""

    node: Any
    role: str
    name: str
    box: tuple[int, int, int, int]
    states: frozenset[str]

    @property
    def centre(self) -> tuple[int, int]:
        x, y, width, height = self.box
        return x + width // 2, y + height // 2

    @property
    def text(self) -> str:
        """What stands in a text box."""
        face = self.node.get_text_iface()
        return Atspi.Text.get_text(face, 0, Atspi.Text.get_character_count(face)) if face else ""


class WindowTree:
    """The tree of one process. `language` and `scale` are those of the application now."""

    def __init__(self) -> None:
        self.pid, self.scale, self.language = 0, 1, "en"
        self._recent: deque[Any] = deque(maxlen=8)  # what got the keyboard, the newest last
        Atspi.init()
        Atspi.set_timeout(5000, 20000)
        self._listener = Atspi.EventListener.new(self._on_event)
        self._listener.register("object:state-changed:focused")

    # ---- names ------------------------------------------------------------------------------

    def shown(self, name: str, **facts: object) -> str:
        """The text that the application shows for an English one."""
        if self.language != "en" and name:
            name = gettext.translation("r1desk", TRANSLATIONS, [self.language]).gettext(name)
        return name.format(**facts) if facts else name

    def _pattern(self, name: str) -> re.Pattern[str]:
        """Fields that nobody filled in match anything."""
        parts = re.split(r"\{[^{}]*\}", self.shown(name))
        return re.compile(".*".join(map(re.escape, parts)), re.DOTALL)

    # ---- the tree ---------------------------------------------------------------------------

    def app(self) -> Any:
        """The application, or None before it is there."""
        desk = Atspi.get_desktop(0)
        for place in range(desk.get_child_count()):
            found = desk.get_child_at_index(place)
            if found is not None and found.get_process_id() == self.pid:
                found.set_cache_mask(Atspi.Cache.NONE)
                return found
        return None

    def _control(self, node: Any) -> Control | None:
        """None for what is not on the screen."""
        states = frozenset(each.value_nick for each in node.get_state_set().get_states())
        if "showing" not in states:
            return None
        role, name = node.get_role_name(), node.get_name() or ""
        place = node.get_component_iface() and node.get_extents(Atspi.CoordType.SCREEN)
        at = (place.x, place.y, place.width, place.height) if place else (0, 0, 0, 0)
        return Control(node, role, name, tuple(self.scale * each for each in at), states)

    def controls(self, below: Any = None, *, last_first: bool = False) -> Iterator[Control]:
        """All that is on the screen, parents first; what goes away meanwhile is left out."""
        top = below or self.app()
        if top is None:
            return
        try:
            places = range(top.get_child_count())
            for place in reversed(places) if last_first else places:
                child = top.get_child_at_index(place)
                found = child is not None and self._control(child)
                if found:
                    yield found
                    yield from self.controls(child, last_first=last_first)
        except GLib.Error:
            return

    def look(
        self, role: str, name: str = "", *, below: Control | None = None, last: bool = False
    ) -> Control | None:
        """The first control of this role and name, or the last; None where there is none now."""
        pattern = self._pattern(name) if name else None
        for found in self.controls(below.node if below else None, last_first=last):
            if found.role == role and (pattern is None or pattern.fullmatch(found.name)):
                return found
        return None

    def find(self, role: str, name: str = "", *, timeout_s: float = 15, **how: Any) -> Control:
        """The control, once it is there."""
        what = f"{role} “{name}”"
        return self.until(lambda: self.look(role, name, **how), what, timeout_s)

    def gone(self, role: str, name: str = "", timeout_s: float = 15) -> None:
        """Wait until there is no such control."""
        self.until(lambda: not self.look(role, name), f"{role} “{name}” to go", timeout_s)

    def dialog(self) -> Control | None:
        """A window above the main one."""
        app = self.app()
        for place in range(app.get_child_count() if app else 0):
            child = app.get_child_at_index(place)
            found = child is not None and self._control(child)
            if found and found.role in _DIALOGS:
                return found
        return None

    def main_window(self) -> Control:
        """The application's frame."""
        return self.find("frame")

    def until(self, seen: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
        """Look again and again; what was seen at last."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                if found := seen():
                    return found
            except GLib.Error:
                pass  # it went away while it was looked at
            if time.monotonic() > end:
                raise NotSeen(f"not seen in {timeout_s:.0f} s: {what}")
            self.pump(0.25)

    def beside(self, label: str, role: str) -> Control:
        """The control in the row of a label: Qt names a combo box by what is chosen in it."""

        def look() -> Control | None:
            title = self.look("label", label)
            if title is None:
                return None
            dialog = self.dialog()
            for each in self.controls(dialog.node if dialog else None):
                off = abs(each.centre[1] - title.centre[1])
                if each.role == role and off < 9 * self.scale:
                    return each
            return None

        return self.until(look, f"{role} beside “{label}”", 15)

    # ---- menus: no part of Qt's tree, but what gets the keyboard is told --------------------

    def _on_event(self, event: Any) -> None:
        if event.detail1:
            self._recent.append(event.source)

    def pump(self, seconds: float) -> None:
        """Take events for so long."""
        end = time.monotonic() + seconds
        while True:
            while GLib.MainContext.default().iteration(False):
                pass
            if time.monotonic() >= end:
                return
            time.sleep(0.02)

    def forget_focus(self) -> None:
        """Before something is opened that takes the keyboard."""
        self.pump(0.05)
        self._recent.clear()

    def focused(self) -> list[Any]:
        """What got the keyboard since `forget_focus`, the newest first."""
        self.pump(0.1)
        return list(reversed(self._recent))

    def entries(self) -> dict[str, Control]:
        """The entries of the menu, one of which has the keyboard; empty before that."""
        for node in self.focused():
            if "menu item" in node.get_role_name():
                menu = node.get_parent()
                nodes = (menu.get_child_at_index(at) for at in range(menu.get_child_count()))
                found = [each for node in nodes if (each := self._control(node))]
                if found:
                    return {each.name.partition("\t")[0]: each for each in found}
        return {}
