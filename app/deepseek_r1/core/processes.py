"""The kinds of child process: the one table that they are started, locked and described by.

`docs/security.md` says what each holds and how it ends; a test compares that page with this table.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from deepseek_r1.core.i18n import current_language

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


@dataclass(frozen=True, slots=True)
class Lock:
    """The rights that a process keeps when it locks itself; see `core.process_lock`."""

    connects: bool = False  # to servers; and moves files from one folder to another
    serves: bool = False  # on a socket that is bound already
    everything: bool = False  # it is not locked: its own child is
    starts_children: bool = False  # the interpreter, and no other program


@dataclass(frozen=True, slots=True)
class ChildProgram:
    """A row of the table: what the process runs, and what it may do and use."""

    argument: str  # a bundle starts itself with it
    module: str  # its `main` is the process
    lock: Lock
    memory_mib: int = 0  # of addresses beyond its own, on Linux; 0 is unlimited
    uses_proxies: bool = False  # gets the variables of proxies and certificates
    own_threads: bool = True  # the thread that starts it lasts as long as it


class ChildKind(Enum):
    """The child processes of the library and of the window."""

    ENGINE = ChildProgram("--engine-host", "deepseek_r1.host.child", Lock(starts_children=True))
    HEADERS = ChildProgram(
        "--read-headers",
        "deepseek_r1.catalogue.header_worker",
        Lock(starts_children=True),
        memory_mib=1024,
        own_threads=False,
    )
    NETWORK = ChildProgram(
        "--network",
        "deepseek_r1.catalogue.network_worker",
        Lock(connects=True, starts_children=True),
        uses_proxies=True,
    )
    TEMPLATES = ChildProgram(
        "--template-renderer", "deepseek_r1.engine.prompt.template_renderer", Lock()
    )
    OLD_MODEL = ChildProgram(
        "--legacy-model", "deepseek_r1.legacy.legacy_model", Lock(), own_threads=False
    )
    MEASUREMENT = ChildProgram("--measure-model", "deepseek_r1.lab.quality_measure", Lock())
    FORMULAS = ChildProgram("--typeset-formulas", "r1desk.chat.formulas.formula_worker", Lock())
    EXPORTS = ChildProgram("--read-export", "r1desk.store.export_reader", Lock(), memory_mib=1024)
    DOCUMENTS = ChildProgram(
        "--read-document",
        "deepseek_r1.documents.reader_worker",
        Lock(),
        memory_mib=1024,
        own_threads=False,
    )
    SHARED_SERVER = ChildProgram(
        "--serve-shared-engine", "deepseek_r1.server.shared_server", Lock(serves=True)
    )
    INSTANCE = ChildProgram(
        "--serve-instance", "deepseek_r1.server.instances", Lock(everything=True)
    )


def run_child(arguments: Sequence[str]) -> bool:
    """Run the child process that a bundle's arguments select. False where they select none."""
    for kind in ChildKind:
        if [kind.value.argument] == list(arguments[:1]):
            import_module(kind.value.module).main()
            return True
    return False


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
