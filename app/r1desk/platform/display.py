"""The screen and the system libraries that Qt needs, looked for before Qt is started.

Uses nothing but the standard library: `installer/from_source.py` loads this file by its path,
before anything is installed. Only Linux can lack either of them.
"""

import ctypes
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# What Qt opens at start, and the Debian package that holds it. Every Linux desktop has them.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}
# The same for the plugin of a platform, by Qt's name for it.
PLUGIN_LIBRARIES = {
    "wayland": {
        "libwayland-client.so.0": "libwayland-client0",
        "libwayland-cursor.so.0": "libwayland-cursor0",
    },
    "xcb": {
        "libX11-xcb.so.1": "libx11-xcb1",
        "libxcb.so.1": "libxcb1",
        "libxcb-cursor.so.0": "libxcb-cursor0",
        "libxcb-icccm.so.4": "libxcb-icccm4",
        "libxcb-image.so.0": "libxcb-image0",
        "libxcb-keysyms.so.1": "libxcb-keysyms1",
        "libxcb-randr.so.0": "libxcb-randr0",
        "libxcb-render-util.so.0": "libxcb-render-util0",
        "libxcb-render.so.0": "libxcb-render0",
        "libxcb-shape.so.0": "libxcb-shape0",
        "libxcb-shm.so.0": "libxcb-shm0",
        "libxcb-sync.so.1": "libxcb-sync1",
        "libxcb-util.so.1": "libxcb-util1",
        "libxcb-xfixes.so.0": "libxcb-xfixes0",
        "libxcb-xkb.so.1": "libxcb-xkb1",
        "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    },
}

_X11_DISPLAY = re.compile(r"(?P<host>.*):(?P<number>\d{1,5})(\.\d+)?")
_X11_PORT = 6000
_CONNECT_S = 2.0


def platforms(arguments: Sequence[str] = ()) -> list[str]:
    """Qt's platforms to show windows on, in the order in which Qt tries them.

    A platform that the user asks for by name is not questioned. An empty list means that there is
    no screen.
    """
    asked = _asked_platforms(arguments)
    if asked:
        return asked
    if not sys.platform.startswith("linux"):
        return [sys.platform]
    found = []
    if _wayland_answers():
        found.append("wayland")
    if _x11_answers(os.environ.get("DISPLAY", "")):
        found.append("xcb")
    return found


def missing_packages(names: Sequence[str]) -> list[str]:
    """The Debian packages without which Qt starts on none of the platforms `names`."""
    if not sys.platform.startswith("linux"):
        return []
    missing = _missing(QT_LIBRARIES)
    of_plugins = [_missing(PLUGIN_LIBRARIES.get(name, {})) for name in names]
    if of_plugins and all(of_plugins):  # Qt falls back to the next where one is complete
        missing += of_plugins[0]
    return missing


def _asked_platforms(arguments: Sequence[str]) -> list[str]:
    asked = os.environ.get("QT_QPA_PLATFORM", "")
    for option, value in zip(arguments, arguments[1:]):  # noqa: B905, RUF007 - older Pythons run this too
        if option in ("-platform", "--platform"):
            asked = value
    return [name.split(":")[0] for name in asked.split(";") if name]


def _wayland_answers() -> bool:
    in_session = os.environ.get("XDG_SESSION_TYPE") == "wayland"
    name = os.environ.get("WAYLAND_DISPLAY") or ("wayland-0" if in_session else "")
    folder = os.environ.get("XDG_RUNTIME_DIR")
    return bool(name and folder) and _connects(str(Path(folder or "/") / name))


def _x11_answers(display: str) -> bool:
    parts = _X11_DISPLAY.fullmatch(display)
    if "/" in display:  # names a protocol or a socket's path, which Xlib understands
        return True
    if parts is None:
        return False
    number = int(parts["number"])
    if parts["host"] in ("", "unix"):
        place = f"/tmp/.X11-unix/X{number}"  # noqa: S108 - the X server's own place
        return _connects(place) or _connects("\0" + place)
    try:
        with socket.create_connection((parts["host"], _X11_PORT + number), timeout=_CONNECT_S):
            return True
    except (OSError, OverflowError):
        return False


def _connects(address: str) -> bool:
    """True where a server listens at a Unix socket; a leading NUL marks an abstract one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect(address)
        except OSError:
            return False
    return True


def _missing(libraries: Mapping[str, str]) -> list[str]:
    return [package for library, package in libraries.items() if not _loads(library)]


def _loads(library: str) -> bool:
    """True when the dynamic linker finds `library`."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
