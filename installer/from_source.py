#!/usr/bin/env python3
"""From a fresh checkout to a running window or a test run, on Linux, macOS and Windows.

    python3 installer/from_source.py run        # build what is missing, open the window
    python3 installer/from_source.py check      # the checks and the pure tests: a minute
    python3 installer/from_source.py test       # the checks, and what a change can break: 8 minutes
    python3 installer/from_source.py test-all   # the tests that `test` leaves out: 15 minutes more
    python3 installer/from_source.py setup      # build only

What follows `check`, `test` or `test-all` goes to pytest, what follows `run` to the application.

Needs Python 3.11 to 3.13. All else comes from PyPI in the versions of `uv.lock`, into `build` and
`.venv` here, a compiler too where the system has none. The first time takes some minutes:
llama.cpp is compiled for this machine's processor. Uses nothing but the standard library.
"""

from __future__ import annotations

import importlib.machinery
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parent))
import toolchain
from toolchain import BIN, WINDOWS

import native_library

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("desktop", "serve", "starter", "ocr")  # of pyproject.toml: the application is all of them
PYTHONS = ((3, 11), (3, 13))  # first and last minor version that works
LIBRARY = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
NATIVE = ROOT / "app" / "deepseek_r1" / "native"

STATIC_CHECKS = (
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy"],
    ["lint-imports"],
)
MOST_WORKERS = 4  # each loads models: more of them need more memory than a laptop has
COMMANDS = ("run", "check", "test", "test-all", "setup")
NO_TESTS_COLLECTED = 5  # pytest's exit status


def main() -> int:
    """Do what the one argument says; return the exit status."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__)
        return 2
    command, rest = arguments[0], arguments[1:]
    if status := prepare(command, rest):
        return status
    if command == "run":
        return start([tool("r1desk"), *rest])
    if command == "setup":
        return 0
    beside_others, *alone = pytest_commands(command, rest)
    with ThreadPoolExecutor(1) as thread:
        static = thread.submit(checked, STATIC_CHECKS if command in ("check", "test") else ())
        tests = run_all([beside_others])
        checks = static.result()
    for command_line, _status, output in checks:
        print(f"\n$ {command_line}\n{output}", end="", flush=True)
    tests += run_all(alone)
    return worst_status([status for _, status, _ in checks], tests, selected=bool(rest))


def prepare(command: str, arguments: list[str]) -> int:
    """Install what a command needs. Returns the exit status."""
    try:
        native_library.own_target()
    except native_library.UnsupportedMachineError as error:
        print(error, file=sys.stderr)
        return native_library.UNSUPPORTED
    python = usable_python()
    if python is None or not toolchain.compiler_found(python):
        return 1
    if not qt_libraries_found(command, arguments):
        return 1
    return 0 if install(python, with_tests=command != "run") else 1


def usable_python() -> str | None:
    """An interpreter of a version that works: this one, or another on the path."""
    first, last = PYTHONS
    if first <= sys.version_info[:2] <= last:
        return sys.executable
    for minor in range(last[1], first[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other:
            return other
    return toolchain.complain(
        f"Python {sys.version_info.major}.{sys.version_info.minor} runs this script; the"
        f" application needs 3.{first[1]} to 3.{last[1]}.",
        "Install one of them (https://www.python.org/downloads/) and start again with it.",
    )


def qt_libraries_found(command: str, arguments: list[str]) -> bool:
    """True where Qt's own needs are there; says which packages are missing otherwise.

    Without a screen `run` goes on in the terminal, which needs none of them.
    """
    display = display_module()
    platforms = display.platforms(arguments=arguments) if command == "run" else ["offscreen"]
    missing = display.missing_packages(platforms) if platforms else []
    if missing:
        toolchain.complain(
            "Some system libraries that the window needs are missing.",
            "Debian, Ubuntu: sudo apt install " + " ".join(missing),
        )
    return not missing


def display_module() -> ModuleType:
    """The application's own look for a screen, loaded by its path: nothing is installed yet."""
    path = ROOT / "app" / "r1desk" / "platform" / "display.py"
    loader = importlib.machinery.SourceFileLoader("display", str(path))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


def native_library_is_current(folder: Path = NATIVE) -> bool:
    """Whether the compiled library is there and no source is newer, as after a pull."""
    library = folder / f"streaming{LIBRARY}"
    sources = [*folder.glob("*.cpp"), *folder.glob("*.hpp")]
    if not library.is_file():
        return False
    compiled = library.stat().st_mtime
    return all(source.stat().st_mtime <= compiled for source in sources)


def install(python: str, *, with_tests: bool) -> bool:
    """Bring `.venv` to the state of the lock file."""
    uv = toolchain.find_uv()
    if uv is None:
        return False
    environment = toolchain.own_environment()
    sync = [*toolchain.sync_command(uv, python), "--compile-bytecode"]
    sync += [f"--extra={extra}" for extra in EXTRAS]
    # Without --inexact a `run` after a `test` would take the test tools away again.
    sync += [] if with_tests else ["--no-dev", "--inexact"]
    # uv remembers that it has built the application, not what became of the file.
    sync += [] if native_library_is_current() else ["--reinstall-package", "r1desk"]
    if not (ROOT / ".venv").is_dir():
        print("Installing. The first time compiles llama.cpp: some minutes.", flush=True)
    # Locked processes may write no file, so Python could not keep what it compiles of theirs.
    compile_app = [tool("python"), "-m", "compileall", "-q", "app"]
    for step in (sync, compile_app):
        if subprocess.run(step, cwd=ROOT, env=environment, check=False).returncode != 0:
            toolchain.complain(
                "The installation stopped; the reason stands above.", "Mend it and start again."
            )
            return False
    return True


def start(command: list[str]) -> int:
    """Run the application in this process's place, so that Ctrl-C is the application's alone."""
    os.chdir(ROOT)
    if not WINDOWS:  # an exec there would return to the shell at once
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    return subprocess.run(command, check=False).returncode


def pytest_commands(command: str, arguments: list[str]) -> list[list[str]]:
    """The test runs of a command, each with the user's own `arguments`.

    Tests that measure time are marked `quiet`: they run one after the other when the rest is done.
    No test is part of `test` and of `test-all`.
    """
    parallel = ["pytest", "-n", str(workers()), "--dist", "loadfile", "--durations", "15"]
    parallel += ["--max-worker-restart", "0"]  # a run that replaces a crashed worker may hang
    alone = ["pytest", "--durations", "15", *([] if arguments else quiet_files())]
    runs = {
        "check": [[*parallel, "-m", "not (integration or quiet or slow)"]],
        "test": [[*parallel, "-m", "not (quiet or slow)"], [*alone, "-m", "quiet and not slow"]],
        "test-all": [[*parallel, "-m", "slow and not quiet"], [*alone, "-m", "slow and quiet"]],
    }
    return [[*run, *arguments] for run in runs[command]]


def quiet_files() -> list[str]:
    """The files with quiet tests: to collect all others would take longer than the tests."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    quiet = [each for each in files if "mark.quiet" in each.read_text(encoding="utf-8")]
    return [str(each.relative_to(ROOT)) for each in quiet]


def workers() -> int:
    """How many processes run tests at once."""
    return max(1, min(os.cpu_count() or 1, MOST_WORKERS))


def run_all(commands: Iterable[list[str]]) -> list[int]:
    """The exit statuses of all commands; a failed one does not keep the next from running.

    Each worker of pytest compiles all tests, which takes seven seconds: it may keep what it made.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    statuses = []
    for command in commands:
        print("\n$ " + shlex.join(command), flush=True)
        line = [tool(command[0]), *command[1:]]
        done = subprocess.run(line, cwd=ROOT, env=environment, check=False)
        statuses.append(abs(done.returncode))
    return statuses


def checked(commands: Iterable[list[str]]) -> list[tuple[str, int, str]]:
    """Run checks one after the other: each command line, its status and its output.

    They take one core a minute, and tests beside them wait often enough.
    """
    found = []
    for command in commands:
        line = [tool(command[0]), *command[1:]]
        done = subprocess.run(
            line, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        found.append((shlex.join(command), abs(done.returncode), done.stdout))
    return found


def worst_status(static: list[int], tests: list[int], *, selected: bool) -> int:
    """The worst of all statuses.

    Where the user has `selected` tests, they may all be in one of the two test runs.
    """
    if selected and set(tests) != {NO_TESTS_COLLECTED}:
        tests = [status for status in tests if status != NO_TESTS_COLLECTED]
    return max([*static, *tests])


def tool(name: str) -> str:
    """A command of the project's own environment."""
    return str(ROOT / ".venv" / BIN / (name + ".exe" if WINDOWS else name))


if __name__ == "__main__":
    sys.exit(main())
