"""How the engine's process is started: its command line, its environment, its priority."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepseek_r1.core.words import current_language
from deepseek_r1.engine.llama.waiting import waits

ENGINE_ARGUMENT = "--engine-host"

# What a process needs to find its files and speak the user's language. Nothing else is passed on:
# the engine reads foreign files in native code, so it holds no secret it could leak.
_PASSED = frozenset({
    "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMP", "TEMP", "TMPDIR", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "USERPROFILE", "APPDATA",
    "LOCALAPPDATA", "PROGRAMDATA", "PATHEXT", "COMSPEC", "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE",
})  # fmt: skip
_PASSED_PREFIXES = ("LC_", "XDG_", "R1DESK_", "OMP_", "GOMP_", "KMP_", "GGML_")


def engine_command() -> list[str]:
    """The command line of the engine's process, in a bundle, a wheel or a checkout."""
    if getattr(sys, "frozen", False):
        return [sys.executable, ENGINE_ARGUMENT]
    # -P: a module in the current folder must not stand in for one of ours.
    return [sys.executable, "-P", "-X", "utf8", "-m", "deepseek_r1.host.child"]


def engine_environment(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the engine's process, taken from `own` (default: this process's)."""
    own = os.environ if own is None else own
    passed = {
        key: value
        for key, value in own.items()
        if key.upper() in _PASSED or key.upper().startswith(_PASSED_PREFIXES)
    }
    passed["R1DESK_LANGUAGE"] = current_language()
    passed["GGML_NO_BACKTRACE"] = "1"  # an abort must not start a debugger
    passed.update(waits(passed))
    source = Path(__file__).resolve().parents[2]
    if source.name not in {"site-packages", "dist-packages"}:
        passed["PYTHONPATH"] = str(source)
    return passed


def start_options() -> dict[str, Any]:
    """Arguments of Popen that differ between systems.

    Elsewhere than on Windows the engine lowers its own priority, and gets a session of its own so
    that Ctrl-C in a terminal reaches its owner only.
    """
    if sys.platform == "win32":
        quiet, low = subprocess.CREATE_NO_WINDOW, subprocess.BELOW_NORMAL_PRIORITY_CLASS
        return {"creationflags": quiet | low}
    return {"start_new_session": True}
