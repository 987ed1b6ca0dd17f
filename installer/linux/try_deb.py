#!/usr/bin/env python3
"""Tests the .deb on this system without changing it: dpkg installs below a separate folder.

    python3 installer/linux/try_deb.py dist/r1desk        # as root

The package is made without compression, installed, looked through, its command line started, and
purged; no file may be left. try_packages.py proves the finished packages inside a bare Debian.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import package

NAME = "r1desk"


class Flaw(Exception):
    """A flaw of the package."""


def main() -> int:
    """Test the package of the bundle in the first argument. Returns 1 if it has a flaw."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        root, made = Path(folder) / "root", Path(folder) / "made"
        made.mkdir()
        try:
            count = try_package(package.deb(Path(sys.argv[1]), made, "none"), root)
        except (Flaw, subprocess.CalledProcessError) as flaw:
            print(f"The package failed: {flaw}", file=sys.stderr)
            return 1
    print(f"deb: {count} files installed, the command line answers, 0 left")
    return 0


def try_package(file: Path, root: Path) -> int:
    """Install `file` below the new folder `root`, and purge it. Returns its number of files.

    Raises Flaw, or CalledProcessError where dpkg or the program fails.
    """
    database = root / "var/lib/dpkg"
    for part in ("info", "updates"):
        (database / part).mkdir(parents=True)
    (database / "status").touch()
    dpkg = ["dpkg", f"--root={root}", "--force-depends"]  # what it depends on is not below `root`
    subprocess.run([*dpkg, "--install", str(file)], check=True, capture_output=True)
    files = list(placed(root))
    for one in files:
        look_at(one, root)
    changed = subprocess.run([*dpkg, "--verify", NAME], check=True, capture_output=True, text=True)
    if changed.stdout:
        raise Flaw(f"installed are not the files of the package: {changed.stdout}")
    program = [str(root / "opt/r1desk/deepseek-r1"), "--version"]
    said = subprocess.run(program, env={}, check=True, capture_output=True, text=True).stdout
    if package.contents.version(package.ROOT) not in said:
        raise Flaw(f"its command line calls itself {said!r}")
    subprocess.run([*dpkg, "--purge", NAME], check=True, capture_output=True)
    if left := list(placed(root)):
        raise Flaw(f"after the removal there is still {left[0]}")
    return len(files)


def placed(root: Path) -> Iterator[Path]:
    """Yields every file and link below `root` that is not dpkg's own."""
    for file in root.rglob("*"):
        if not file.is_relative_to(root / "var/lib/dpkg") and (file.is_symlink() or file.is_file()):
            yield file


def look_at(file: Path, root: Path) -> None:
    """Raise Flaw for a broken link, and for permissions that are too wide or too narrow."""
    if file.is_symlink():
        target = file.readlink()
        there = root / target.relative_to("/") if target.is_absolute() else file.parent / target
        if not there.exists():
            raise Flaw(f"{file.relative_to(root)} leads to {target}, which is not in it")
        return
    state = file.stat()
    rights = stat.filemode(state.st_mode)
    if (state.st_uid, state.st_gid) != (0, 0) or rights[4] != "r" or rights[7] != "r":
        raise Flaw(f"{file.relative_to(root)} is not root's, or not for all to read: {rights}")
    if "s" in rights or "w" in rights[4:]:
        raise Flaw(f"{file.relative_to(root)} gives away too much: {rights}")


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
