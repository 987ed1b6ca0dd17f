"""An invisible screen: Xvfb, with or without a Wayland desktop, with xdotool for keys.

Needs Xvfb, xdotool and ImageMagick, for Wayland also weston. Only the standard library is used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE = (1366, 768)
WAIT_S = 30
POLL_S = 0.05
SOCKET = "r1desk-smoke"


class NoScreen(Exception):
    """The screen could not be started."""


@dataclass(frozen=True, slots=True)
class Screen:
    """`display` is the X server's name; `environment` lets a program open windows on it."""

    display: str
    environment: dict[str, str]

    def window(self, title: str) -> str | None:
        """Returns the id of the visible X window whose title contains `title`."""
        search = ["xdotool", "search", "--onlyvisible", "--name", title]
        said = subprocess.run(search, env=self._own(), capture_output=True, text=True, check=False)
        return said.stdout.split()[-1] if said.stdout.strip() else None

    def titles(self) -> list[str]:
        """Returns the titles of all visible windows."""
        search = ["xdotool", "search", "--onlyvisible", "--name", ".", "getwindowname", "%@"]
        found = subprocess.run(search, env=self._own(), capture_output=True, text=True, check=False)
        return found.stdout.splitlines()

    def focus(self, title: str) -> bool:
        """Give the keyboard to that window. Returns False while it is not there for long enough."""
        found = self.window(title)
        if found is None:
            return False
        command = ["xdotool", "windowfocus", "--sync", found]
        done = subprocess.run(command, env=self._own(), stderr=subprocess.DEVNULL, check=False)
        return done.returncode == 0

    def keys(self, *arguments: str) -> None:
        """Run an xdotool command, such as "key", "Return"."""
        subprocess.run(["xdotool", *arguments], env=self._own(), check=True)

    def photograph(self, picture: Path) -> None:
        """Write the whole screen as a PNG file."""
        picture.parent.mkdir(parents=True, exist_ok=True)
        command = ["import", "-display", self.display, "-window", "root", str(picture)]
        subprocess.run(command, check=True)

    def _own(self) -> dict[str, str]:
        return os.environ | {"DISPLAY": self.display}


@contextmanager
def x11() -> Iterator[Screen]:
    """Run an X server without a window manager."""
    reading, writing = os.pipe()
    width, height = SIZE
    # Without -noreset the server starts anew whenever its last client has gone, as xdotool does
    # after each look, and refuses who comes at that moment.
    command = ["Xvfb", "-noreset", "-nolisten", "tcp", "-displayfd", str(writing)]
    command += ["-screen", "0", f"{width}x{height}x24"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            number = numbers.readline().strip()
        if not number:
            raise NoScreen("Xvfb did not start")
        yield Screen(f":{number}", {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"})
    finally:
        _end(server)


@contextmanager
def wayland() -> Iterator[Screen]:
    """Run a Wayland desktop on an X server. Programs have to detect it themselves."""
    with x11() as outer, tempfile.TemporaryDirectory() as runtime:
        width, height = SIZE
        settings = Path(runtime) / "weston.ini"
        settings.write_text("[input-method]\npath=\n", encoding="utf-8")  # no keyboard on screen
        command = ["weston", "--backend=x11", "--renderer=pixman", "--idle-time=0"]
        command += [f"--width={width}", f"--height={height}"]
        command += [f"--config={settings}", f"--socket={SOCKET}"]
        desktop = subprocess.Popen(
            command,
            env=os.environ | {"DISPLAY": outer.display, "XDG_RUNTIME_DIR": runtime},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(Path(runtime) / SOCKET, desktop)
            session = {"XDG_SESSION_TYPE": "wayland", "XDG_RUNTIME_DIR": runtime}
            yield Screen(outer.display, session | {"WAYLAND_DISPLAY": SOCKET})
        finally:
            _end(desktop)


def _wait_for(socket: Path, desktop: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + WAIT_S
    while not socket.exists():
        if desktop.poll() is not None or time.monotonic() > end:
            raise NoScreen("weston did not start")
        time.sleep(POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(WAIT_S)
