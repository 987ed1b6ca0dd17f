#!/usr/bin/env python3
"""Makes the files of a release for this system, their checksums and a page that lists them.

    python3 installer/release.py                       # all of it, into dist/release
    python3 installer/release.py --bundle dist/r1desk  # with a bundle that is there already
    python3 installer/release.py --page FOLDER         # checksums and page of files that are there
    python3 installer/release.py --compare ONE OTHER   # what two of its folders do not share

The files have the time of the last commit, so that the same commit gives the same bytes. Made here
are the wheels of all systems, and on Linux the packages and macOS's application; other systems'
files come from release.yml, to FOLDER. What is not there is named.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "installer"))
import toolchain  # noqa: E402 - beside this file

import native_library  # noqa: E402

OUT = ROOT / "dist" / "release"
SUMS, PAGE = "SHA256SUMS", "README.md"
MIB = 1024 * 1024
ELSEWHERE = (".exe", ".dmg")  # made on their own systems alone
_MAC_START = "macOS refuses it once: *Privacy & Security*, *Open Anyway*."
_MACS = {"arm64": "macOS 15, Apple silicon", "x86_64": "macOS 15, Intel"}
# Whom a file is for by the end of its name, and what the system does at the first start.
KINDS = {
    ".deb": ("Debian, Ubuntu", "Not signed. The system asks for your password to install it."),
    ".tar.xz": ("Linux, any", "Not signed. Unpack it and start `r1desk`; nothing is asked."),
    ".exe": (
        "Windows 10, 11",
        "Where it is not signed, Windows names an unknown publisher: *More info*, *Run anyway*.",
    ),
    **{
        f"-macos-{processor}.zip": (
            mac,
            f"Signed ad hoc, not notarised: {_MAC_START} "
            "R1 Desk then asks before it fetches Python. Nobody has started it on a Mac yet.",
        )
        for processor, mac in _MACS.items()
    },
    **{
        f"-macos-{processor}.dmg": (mac, f"Where it is not notarised, {_MAC_START}")
        for processor, mac in _MACS.items()
    },
    **{
        f"-{target.wheels}.whl": (
            f"Python 3.11 to 3.13, {name}",
            "Not signed. pip installs it and compiles llama.cpp.",
        )
        for name, target in native_library.TARGETS.items()
    },
    ".cdx.json": ("all", "The list of components (CycloneDX)."),
}


def main() -> int:
    """Do what the arguments say. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--bundle", type=Path, help="it is made where this is missing")
    parser.add_argument("--page", type=Path, metavar="FOLDER")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="FOLDER")
    asked = parser.parse_args()
    if asked.compare:
        different = differences(*asked.compare)
        print("\n".join(different) or "The same bytes.")
        return int(bool(different))
    try:
        folder = asked.page or make(asked.bundle)
    except subprocess.CalledProcessError as stopped:
        print(f"Stopped: {stopped}. The reason stands above.", file=sys.stderr)
        return 1
    print(write_page(folder).read_text(encoding="utf-8"))
    return 0


def make(bundle: Path | None) -> Path:
    """Make the files and return their folder. Raises CalledProcessError."""
    commit = ["git", "log", "-1", "--format=%ct"]
    moment = subprocess.run(commit, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    environment = toolchain.own_environment() | {"SOURCE_DATE_EPOCH": moment.strip()}
    here = ROOT / "installer"
    uv = str(toolchain.find_uv())
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    wheel = [uv, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", str(OUT)]
    for target in native_library.TARGETS:
        variables = environment | {"R1DESK_TARGET": target}
        subprocess.run(wheel, cwd=ROOT, env=variables, check=True)
    steps = []
    if sys.platform == "linux":
        if bundle is None:
            steps.append([sys.executable, str(here / "bundle" / "make.py")])
            bundle = ROOT / "dist" / "r1desk"
        steps.append([sys.executable, str(here / "linux" / "package.py"), str(bundle), str(OUT)])
        for target in ("macos-arm64", "macos-x86_64"):
            (made,) = OUT.glob(f"*-{native_library.TARGETS[target].wheels}.whl")
            application = str(here / "macos" / "application.py")
            steps.append([sys.executable, application, target, str(made), str(OUT)])
    steps.append([sys.executable, str(here / "sbom.py"), str(OUT / "r1desk.cdx.json")])
    for step in steps:
        subprocess.run(step, cwd=ROOT, env=environment, check=True)
    for ignored in OUT.glob(".*"):  # uv's
        ignored.unlink()
    return OUT


def files_of(folder: Path) -> list[Path]:
    """Returns the files of a release, without those that describe them."""
    return sorted(each for each in folder.iterdir() if each.name not in (SUMS, PAGE))


def checksum(file: Path) -> str:
    """Returns the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_page(folder: Path) -> Path:
    """Write the checksums, and the page, whose path is returned."""
    sums, rows = "", "| file | for | MiB | at the first start |\n| --- | --- | ---: | --- |\n"
    for file in files_of(folder):
        sums += f"{checksum(file)}  {file.name}\n"
        for_whom, start = next((KINDS[end] for end in KINDS if file.name.endswith(end)), ("", ""))
        rows += f"| `{file.name}` | {for_whom} | {file.stat().st_size / MIB:.1f} | {start} |\n"
    (folder / SUMS).write_text(sums, encoding="utf-8")
    page = folder / PAGE
    rows += "".join(f"\n{sentence}\n" for sentence in missing(folder))
    text = f"# R1 Desk\n\n{rows}\n`sha256sum --check {SUMS}` beside the files:\n\n```\n{sums}```\n"
    page.write_text(text, encoding="utf-8")
    return page


def missing(folder: Path) -> list[str]:
    """Returns a sentence for each kind of file that is not in a release."""
    names = [each.name for each in files_of(folder)]
    there = ", which `.github/workflows/release.yml` makes there"
    return [
        f"Not made here: `{end}` for {for_whom}{there if end.endswith(ELSEWHERE) else ''}."
        for end, (for_whom, _) in KINDS.items()
        if not any(name.endswith(end) for name in names)
    ]


def differences(one: Path, other: Path) -> list[str]:
    """Returns a line for each file of two folders that is missing in one or has other bytes."""
    first, second = ({each.name: each for each in files_of(folder)} for folder in (one, other))
    lines = [f"only in one: {name}" for name in sorted({*first} ^ {*second})]
    return lines + [
        f"differs: {name}"
        for name in sorted({*first} & {*second})
        if checksum(first[name]) != checksum(second[name])
    ]


if __name__ == "__main__":
    os.umask(0o022)  # the files are for everyone, whatever this shell's habit
    sys.exit(main())
