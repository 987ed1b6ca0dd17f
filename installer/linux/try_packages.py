#!/usr/bin/env python3
"""Tests the packages inside a bare Debian: installs, starts, uses and removes them.

    installer/bundle/bare_debian.sh FOLDER
    python3 installer/linux/try_packages.py FOLDER dist        # as root

The .deb is installed by dpkg, started through its desktop entry, asked something, and removed; no
file may be left. The tarball runs from a path in Chinese with spaces, read-only, as two users, and
goes into a user's menu and out again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "installer" / "bundle"))
import smoke  # noqa: E402 - beside this folder

USERS = {"first": 1000, "second": 1001}
FOLDER = "srv/模型 应用 with spaces"


def main() -> int:
    """Test both packages. Returns 1 if one of them fails."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    root, packages = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    try:
        with smoke.mounted(root):
            try_deb(root, next(packages.glob("r1desk_*.deb")))
            try_tarball(root, next(packages.glob("r1desk-*.tar.xz")))
    except smoke.SmokeFailed as failed:
        print(f"Failed: {failed}", file=sys.stderr)
        return 1
    return 0


def try_deb(root: Path, package: Path) -> None:
    """Install, start from the desktop entry, ask, remove."""
    before = listing(root)
    installed = root / "var/cache" / package.name
    installed.write_bytes(package.read_bytes())
    inside(root, 0, "dpkg", "--install", f"/var/cache/{package.name}")
    added = len(listing(root) - before)
    entry = (root / "usr/share/applications/r1desk.desktop").read_text(encoding="utf-8")
    program = command_of(entry)
    with home_of(root, "first") as home:
        facts = smoke.ask_window(Entry(root / "opt/r1desk", home, root, program), None)
        kind = inside(root, 0, "grep", "gguf", "/usr/share/mime/globs2")
    inside(root, 0, "dpkg", "--purge", "r1desk")
    installed.unlink()
    left = {place for place in listing(root) - before if "/.cache" not in place}
    if left:
        raise smoke.SmokeFailed(f"after the removal there is still {sorted(left)[:5]}")
    print(f"deb: {added} files installed; Exec={program}; {facts}; type {kind.strip()}; 0 left")


def try_tarball(root: Path, archive: Path) -> None:
    """Unpack into an unusual path, start it as two users, add it to a menu and remove it."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--extract", "--file", str(archive), "-C", str(folder)], check=True)
    bundle = next(folder.iterdir())
    subprocess.run(["mount", "--bind", "-o", "ro", str(bundle), str(bundle)], check=True)
    try:
        for user, number in USERS.items():
            with home_of(root, user) as home:
                place = Entry(bundle, home, root, user=number)
                print(f"tarball, read-only, {user}: {smoke.ask_window(place, None)}")
        with home_of(root, "first") as home:
            try_menu(root, bundle, home)
    finally:
        subprocess.run(["umount", str(bundle)], check=True)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def try_menu(root: Path, bundle: Path, home: Path) -> None:
    """Test the scripts of the tarball and the menu entry that they write."""
    entry = home / ".local/share/applications/r1desk.desktop"
    run = ["env", f"HOME=/{home.relative_to(root)}"]
    inside(root, 1000, *run, f"/{bundle.relative_to(root)}/install.sh")
    inside(root, 1000, "desktop-file-validate", f"/{entry.relative_to(root)}")
    program = command_of(entry.read_text(encoding="utf-8"))
    facts = smoke.ask_window(Entry(bundle, home, root, program), None)
    inside(root, 1000, *run, f"/{bundle.relative_to(root)}/uninstall.sh")
    if entry.exists():
        raise smoke.SmokeFailed("the menu entry stayed")
    print(f"tarball, from the user's menu: Exec={program}; {facts}")


@dataclass(frozen=True, slots=True)
class Entry(smoke.Place):
    """A place whose window is started by its menu entry if it has one."""

    program: str = ""
    user: int = USERS["first"]

    def command(self, program: str, *arguments: str) -> list[str]:
        """Returns a shell command, which parses the entry's quotes as the desktop does."""
        started = smoke.Place.command(self, program, *arguments)
        started[1] = f"--userspec={self.user}:{self.user}"
        if self.program:
            started[3:] = ["sh", "-c", f"exec {self.program}"]
        return started


def command_of(entry: str) -> str:
    """Returns the command of a menu entry, without its file placeholder."""
    line = next(line for line in entry.splitlines() if line.startswith("Exec="))
    return line.removeprefix("Exec=").removesuffix(" %f")


@contextmanager
def home_of(root: Path, user: str) -> Iterator[Path]:
    """Yields a user's empty home, which is emptied afterwards."""
    home = root / "home" / user / "smoke"
    inside(root, USERS[user], "mkdir", f"/{home.relative_to(root)}")
    try:
        yield home
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)


def inside(root: Path, user: int, *command: str) -> str:
    """Returns the output of a command inside the bare system. Raises SmokeFailed."""
    start = ["chroot", f"--userspec={user}:{user}", str(root), *command]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise smoke.SmokeFailed(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def listing(root: Path) -> set[str]:
    """Returns every file of the bare system that is not mounted or the package manager's own."""
    leave = {"proc", "dev", "tmp", "sys", "home"}
    found = set()
    for top in root.iterdir():
        if top.name not in leave and not top.is_symlink():
            found |= {str(file) for file in top.rglob("*") if "var/lib/dpkg" not in str(file)}
    return {place for place in found if "/var/log/" not in place and "/var/cache/" not in place}


if __name__ == "__main__":
    sys.exit(main())
