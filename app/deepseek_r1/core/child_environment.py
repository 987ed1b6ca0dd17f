"""Builds what child processes that run our own modules are started with."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepseek_r1.core.i18n import current_language
from deepseek_r1.core.processes import ChildKind

# A process needs these to find its files and to use the user's language. Nothing else is passed
# on: children read untrusted files in native code, so they hold no secret that they could leak.
_PASSED = frozenset({
    "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMP", "TEMP", "TMPDIR", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "USERPROFILE", "APPDATA",
    "LOCALAPPDATA", "PROGRAMDATA", "PATHEXT", "COMSPEC", "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE", "PROCESSOR_IDENTIFIER", "PYTHONPYCACHEPREFIX",
    "PYTHONDONTWRITEBYTECODE", "LLAMA_CPP_LIB_PATH",
})  # fmt: skip
# A process that connects to servers gets these too; the address of a proxy may contain a password.
_NETWORK = frozenset({
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
})  # fmt: skip
_PASSED_PREFIXES = ("LC_", "XDG_", "R1DESK_", "OMP_", "GOMP_", "KMP_", "GGML_")


def child_command(kind: ChildKind) -> list[str]:
    """The command line of a child process, in a bundle, a wheel or a checkout."""
    if getattr(sys, "frozen", False):
        return [sys.executable, kind.value.argument]
    # -P: a module in the current folder must not stand in for one of ours.
    return [sys.executable, "-P", "-X", "utf8", "-m", kind.value.module]


def background_options() -> dict[str, Any]:
    """Arguments of Popen for a process without a console window, which Ctrl-C does not reach."""
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW}
    return options


def child_environment(
    own: Mapping[str, str] | None = None, *, proxies: bool = False
) -> dict[str, str]:
    """The variables that a child process gets, taken from `own` (default: this process's).

    With `proxies` also those of proxies and certificates.
    """
    own = os.environ if own is None else own
    passed = {
        key: value
        for key, value in own.items()
        if key.upper() in _PASSED or key.upper().startswith(_PASSED_PREFIXES)
    }
    if proxies:
        passed |= {key: value for key, value in own.items() if key.upper() in _NETWORK}
    if sys.platform != "win32" and "HOME" not in passed:
        with suppress(RuntimeError):  # a locked process cannot look it up by itself
            passed["HOME"] = str(Path.home())
    passed["R1DESK_LANGUAGE"] = current_language()
    source = Path(__file__).resolve().parents[2]
    if source.name not in {"site-packages", "dist-packages"}:
        passed["PYTHONPATH"] = str(source)
    return passed
