"""A private desktop: screens, a window manager, a bus for accessibility, a mouse and a keyboard."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

STEP_PX = 12  # of a drag, so that the application sees the pointer move


class Desktop:
    """Screens of Xvfb with openbox, the last one in use, and a message bus that they share.

    Sets `DISPLAY`, `DBUS_SESSION_BUS_ADDRESS` and the folders below `home` in this process's
    environment, which its children inherit.
    """

    def __init__(self, home: Path) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        runtime = home / "runtime"
        runtime.mkdir(parents=True)
        runtime.chmod(0o700)
        os.environ |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "LANG": "C.UTF-8"}
        for name in ("AT_SPI_BUS_ADDRESS", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "WAYLAND_DISPLAY"):
            os.environ.pop(name, None)

    def open_screen(self, width: int, height: int) -> None:
        """Start a screen and use it from now on."""
        read, write = os.pipe()
        size = f"{width}x{height}x24"
        screen = ["Xvfb", "-displayfd", str(write), "-screen", "0", size, "-nolisten", "tcp"]
        is_first = not self._processes
        self._start([*screen, "-noreset"], pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as numbers:
            os.environ["DISPLAY"] = ":" + numbers.readline().strip()
        if is_first:
            self._open_bus()
        self._start(["openbox", "--sm-disable"])
        time.sleep(1.0)

    def _open_bus(self) -> None:
        """Start the message bus, and by a first question to it the one for accessibility."""
        bus = self._start(["dbus-daemon", "--session", "--nofork", "--print-address"], read=True)
        assert bus.stdout is not None
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        place = ["--dest", "org.a11y.Bus", "--object-path", "/org/a11y/bus"]
        ask = ["gdbus", "call", "--session", *place, "--method", "org.a11y.Bus.GetAddress"]
        subprocess.run(ask, check=True, stdout=subprocess.DEVNULL, timeout=30)

    def _start(
        self, command: list[str], *, pass_fds: tuple[int, ...] = (), read: bool = False
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE if read else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
            text=True,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End all that was started, the last first."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def picture(file: Path) -> None:
    """Save what is on the screen."""
    subprocess.run(["import", "-silent", "-window", "root", str(file)], check=False, timeout=60)


def xdotool(*arguments: object) -> str:
    """Run commands of xdotool; return what it printed."""
    command = ["xdotool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def point(at: tuple[int, int]) -> None:
    """Move the pointer there, as a hand does: not in one jump."""
    xdotool("mousemove", at[0] - 3, at[1] - 2, "sleep", 0.05, "mousemove", *at, "sleep", 0.08)


def click(at: tuple[int, int], *, button: int = 1, held: str = "", times: int = 1) -> None:
    """Move there and click, perhaps with a key held."""
    point(at)
    before, after = (["keydown", held], ["keyup", held]) if held else ([], [])
    xdotool(*before, "click", "--repeat", times, "--delay", 90, button, *after)
    time.sleep(0.15)


def drag(start: tuple[int, int], end: tuple[int, int]) -> None:
    """Press at one place, move to the other as a hand does, and let go."""
    point(start)
    xdotool("mousedown", 1)
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1])) // STEP_PX + 1
    for step in range(1, steps + 1):
        at = [round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True)]
        xdotool("mousemove", *at, "sleep", 0.02)
    xdotool("mousemove", end[0] + 1, end[1], "sleep", 0.4, "mouseup", 1)
    time.sleep(0.3)


def key(*keys: str) -> None:
    """Press keys one after the other, in xdotool's names: `ctrl+n`, `Escape`."""
    for each in keys:
        xdotool("key", each)
        time.sleep(0.08)


def type_text(text: str, *, first: str = "", delay_ms: int = 25) -> None:
    """Type a text; `first` is a key pressed right before it, without a pause.

    What is on no key xdotool gives a key for a moment, which must not be over too soon.
    """
    delay_ms = delay_ms if text.isascii() else 150
    xdotool(*(("key", first) if first else ()), "type", "--delay", delay_ms, "--", text)
    time.sleep(0.1)
