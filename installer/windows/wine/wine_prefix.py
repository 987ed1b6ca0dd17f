"""A Wine prefix, which is a Windows installation in a folder, and programs that run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bundle"))
import screen

# No .NET, browser or menu entries. A program that crashes ends instead of waiting in a debugger.
# ucrtbase.dll is the one beside python.exe.
OVERRIDES = "mscoree,mshtml,winemenubuilder.exe=;winedbg.exe=;ucrtbase=n,b"
FIRST_START_S = 180
POLL_S = 0.2
X11_DRIVER = r"HKCU\Software\Wine\X11 Driver"


class WineMissingError(Exception):
    """Wine is not installed."""


@dataclass(frozen=True, slots=True)
class Wine:
    """A prefix. Its programs see this machine's files below Z:."""

    prefix: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Returns the environment variables of a program: this process's, without Python's."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        own = {"WINEPREFIX": str(self.prefix), "WINEARCH": "win64", "WINEDEBUG": "-all"}
        return kept | own | {"WINEDLLOVERRIDES": OVERRIDES, "LC_ALL": "C.UTF-8"} | more

    def command(self, program: Path | str, *arguments: str | Path) -> list[str]:
        """Returns the command line on this machine for a Windows program."""
        return ["wine", str(program), *map(str, arguments)]

    def run(
        self, program: Path | str, *arguments: str | Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. Returns its exit status and output."""
        return subprocess.run(
            self.command(program, *arguments),
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def end(self) -> None:
        """End all its programs."""
        subprocess.run(["wineserver", "-k"], env=self.environment(), check=False)

    def folder(self, windows: str) -> Path:
        """Returns where a path on C: is on this machine."""
        return self.prefix / "drive_c" / Path(*PureWindowsPath(windows).parts[1:])


def windows_path(path: Path) -> str:
    """Returns the path under which Windows programs see a file of this machine."""
    return str(PureWindowsPath("Z:/", *path.absolute().parts[1:]))


def open_first_window(opened: Wine, desktop: screen.Screen) -> None:
    """Open and close a window of Wine's: the first one of a prefix takes long, ours or not.

    The desktop of a start without a screen lives a moment longer than its programs, and no window
    opens on it. Raises NoScreen where none comes.
    """
    opened.end()
    variables = opened.environment(**desktop.environment)
    process = subprocess.Popen(opened.command("notepad"), env=variables)
    end = time.monotonic() + FIRST_START_S
    while not desktop.window("Notepad"):
        if process.poll() is not None or time.monotonic() > end:
            seen = f"status {process.poll()}, windows {desktop.titles()}"
            raise screen.NoScreen(f"Wine opened no window: {seen}")
        time.sleep(POLL_S)
    process.terminate()
    process.wait()


@contextmanager
def wine(prefix: Path) -> Iterator[Wine]:
    """Yields a prefix that is ready, and ends all its programs afterwards.

    Raises WineMissingError, CalledProcessError, NoScreen.
    """
    if shutil.which("wine") is None:
        raise WineMissingError("wine is not installed")
    opened = Wine(prefix)
    try:
        if not (prefix / "system.reg").is_file():
            prefix.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                ["wineboot", "--init"],
                env=opened.environment(DISPLAY=""),
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=FIRST_START_S,
            )
            # There is no window manager: keys go only to windows that Wine does not leave to one.
            opened.run("reg", "add", X11_DRIVER, "/v", "Managed", "/d", "N", "/f", DISPLAY="")
            with screen.x11() as desktop:
                open_first_window(opened, desktop)
        yield opened
    finally:
        opened.end()
