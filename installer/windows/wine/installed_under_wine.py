"""Installs the setup program under Wine, uses what it installed, upgrades and removes it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath

import bundle_under_wine
import window_under_wine
from build_cache import BUILT, link_tree
from bundle_under_wine import StepFailedError
from window_under_wine import WinePlace
from wine_prefix import Wine, windows_path

smoke = window_under_wine.smoke

OLD_VERSION = "0.0.1"
ONLY_OLD = "only-in-the-old-version.dll"
RUNNING = 3  # setup.exe's exit status where the application runs
SETTLE_S = 30
IGNORED_FOLDERS = {"Temp", "windows"}
UNINSTALL_KEY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\R1Desk"
CLASSES = r"Software\Classes"
OPENED_TYPES = (".gguf", "R1Desk.gguf")
OPEN_COMMAND = rf"HKCU\{CLASSES}\R1Desk.gguf\shell\open\command"


def try_installer(session: Wine, folder: Path) -> Iterator[str]:
    """Take the steps of a user, with the bundle in `folder`. Yields a line for each.

    Raises StepFailedError, SmokeFailed.
    """
    local = user_folder(session) / "AppData" / "Local"
    program, profile = local / "Programs" / "R1 Desk", local / "r1desk"
    before = files(session)
    old, new = setup_programs(folder)
    place = WinePlace(local, local, None, session, programs(program), {}, own_profile=profile)

    expect(status(session, old, "/S") == 0, "the old version is not installed")
    expect((program / "_internal" / ONLY_OLD).is_file(), "the old version is not there")
    yield f"installed {OLD_VERSION}: {len(list(program.rglob('*')))} files"

    answer = smoke.ask_window(place, BUILT / "installed.png")
    yield f"used: {answer}"

    with window_under_wine.opened(place, BUILT / "running.png"):
        refused = status(session, new, "/S")
        expect(refused == RUNNING, f"an upgrade of the running application ended with {refused}")
        expect((program / "_internal" / ONLY_OLD).is_file(), "it changed the running application")
    yield f"upgrade while it runs: refused with status {RUNNING}, nothing touched"

    expect(status(session, new, "/S", "/GGUF", "/DESKTOP") == 0, "the upgrade failed")
    expect(not (program / "_internal" / ONLY_OLD).exists(), "a file of the old version is left")
    expect(bundle_under_wine.version() in registry(session, UNINSTALL_KEY), "no new version")
    expect('r1desk.exe" "%1"' in registry(session, OPEN_COMMAND), "GGUF files do not open with it")
    asked = smoke.stored(profile).question
    with window_under_wine.opened(place, BUILT / "upgraded.png"):
        pass
    expect(smoke.stored(profile).question == asked == smoke.QUESTION, "the conversation is gone")
    yield f"upgraded to {bundle_under_wine.version()}: the conversation is still there"

    yield f"a double click on a model: {double_click(session)}"

    yield f"portable: {try_portable(session, program)}"

    status(session, program / "uninstall.exe", "/S")
    until(lambda: not (program / "uninstall.exe").exists(), "the program is still there")
    expect(not registry(session, UNINSTALL_KEY), "Windows still lists it")
    expect(not registry(session, OPEN_COMMAND), "GGUF files still open with it")
    left = sorted(files(session) - before)
    unexpected = [path for path in left if not path.is_relative_to(profile)]
    expect(profile / "conversations.db" in left, "the conversations are gone")
    yield f"removed; left: {', '.join(str(path.relative_to(local)) for path in left)}"
    expect(not unexpected, f"more than conversations is left: {unexpected}")


def setup_programs(folder: Path) -> tuple[Path, Path]:
    """Returns the setup programs of an old version and of this one."""
    old_payload = BUILT / "dist" / "old"
    shutil.rmtree(old_payload, ignore_errors=True)
    link_tree(folder, old_payload)
    (old_payload / "_internal" / ONLY_OLD).write_text("an old file", encoding="ascii")
    make = bundle_under_wine.installer
    version = bundle_under_wine.version()
    old = make(OLD_VERSION, old_payload, compressed=False)
    return old, make(version, folder, compressed=False)


def try_portable(session: Wine, program: Path) -> dict[str, object]:
    """Use a copy in a folder with a Chinese name that keeps its conversations beside itself."""
    folder = session.folder("C:\\便携 应用")
    link_tree(program, folder)
    (folder / "portable").mkdir()
    own = folder / "portable"
    place = WinePlace(folder, folder, None, session, programs(folder), {}, own_profile=own)
    try:
        return smoke.ask_window(place, BUILT / "portable.png")
    finally:
        shutil.rmtree(folder)


def double_click(session: Wine) -> dict[str, object]:
    """Open a user's model file as the desktop does, and ask it. Returns what was seen.

    Windows looks for a file's program in the user's part of the registry and in the machine's. Wine
    10 looks in the machine's only, so the user's entries are copied there meanwhile.
    """
    for name in OPENED_TYPES:
        own, machine = rf"HKCU\{CLASSES}\{name}", rf"HKLM\{CLASSES}\{name}"
        copied = session.run("reg", "copy", own, machine, "/s", "/f")
        expect(copied.returncode == 0, f"{own} was not copied: {copied.stdout}")
    folder = session.folder("C:\\模型 文件")
    folder.mkdir()
    try:
        model = folder / "my model.gguf"
        shutil.copy(starter_model(), model)
        opening = {"r1desk": ("start", "/wait", "/unix", model)}
        place = WinePlace(folder, folder, None, session, opening, {})
        facts = smoke.ask_window(place, BUILT / "double-click.png")
        used = PureWindowsPath(smoke.stored(place.profile).model)
        expect(used.name == model.name, f"the window opened {used}, not {model}")
    finally:
        shutil.rmtree(folder)
        for name in OPENED_TYPES:
            session.run("reg", "delete", rf"HKLM\{CLASSES}\{name}", "/f")
    return facts


def starter_model() -> Path:
    """Returns the model file in the bundle."""
    return next(bundle_under_wine.FOLDER.rglob("*.gguf"))


def programs(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Returns the two programs of a bundle."""
    return {name: (folder / f"{name}.exe",) for name in ("r1desk", "deepseek-r1")}


def user_folder(session: Wine) -> Path:
    """Returns the only user's folder."""
    users = session.folder("C:\\users")
    return next(each for each in users.iterdir() if each.name != "Public")


def files(session: Wine) -> set[Path]:
    """Returns all files on C:, without temporary ones and those of Windows itself."""
    drive = session.folder("C:\\")
    return {
        file
        for file in drive.rglob("*")
        if file.is_file() and not IGNORED_FOLDERS & set(file.relative_to(drive).parts)
    }


def status(session: Wine, program: Path, *arguments: str) -> int:
    """Run a program to its end. Returns its exit status."""
    return session.run(windows_path(program), *arguments).returncode


def registry(session: Wine, key: str) -> str:
    """Returns the registry's entries below a key; an empty text where it does not exist."""
    query = session.run("reg", "query", key, "/s")
    return query.stdout if query.returncode == 0 else ""


def until(found: Callable[[], bool], otherwise: str) -> None:
    """Wait until `found` returns True. Raises StepFailedError."""
    end = time.monotonic() + SETTLE_S
    while not found():
        expect(time.monotonic() < end, otherwise)
        time.sleep(0.2)


def expect(met: bool, otherwise: str) -> None:
    """Raises StepFailedError with the text `otherwise` if `met` is False."""
    if not met:
        raise StepFailedError(otherwise)
