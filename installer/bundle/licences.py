"""Collects the licence of everything inside the bundle; fails where one is missing.

    python installer/bundle/licences.py FOLDER [BUNDLE]

Run it with the interpreter whose packages are bundled. FOLDER gets one folder per component and an
index. With BUNDLE, an already made bundle, also the licences of the system's libraries in it, as
Debian's packages state them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LICENCE_NAMES = re.compile(r"(?i)^(licen[cs]e|copying|notice|thirdpartynotice|ofl-)")

# Packages of the build alone: nothing of them is copied into the bundle but PyInstaller's starter
# program, whose licence allows that for any program.
BUILD_ONLY = {"altgraph", "cmake", "ninja", "packaging", "pip", "pyinstaller-hooks-contrib",
              "setuptools", "uv", "wheel", "ziglang"}  # fmt: skip

# Packages that name a licence without bringing its text. Qt and its binding are used under LGPL
# 3, which extends GPL 3: both texts are needed.
KEPT_TEXTS = {
    "pyside6-essentials": ["LGPL-3.0.txt", "GPL-3.0.txt"],
    "shiboken6": ["LGPL-3.0.txt", "GPL-3.0.txt"],
}


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the bundle. `texts` are the files with its licence."""

    name: str
    version: str
    licence: str  # as its metadata names it
    homepage: str
    texts: list[Path] = field(default_factory=list)


def main() -> int:
    """Collect into the folder in the first argument. Returns 1 if a text is missing."""
    if not 2 <= len(sys.argv) <= 3:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1])
    components = [python_itself(), bundled_font(), *python_packages()]
    if len(sys.argv) == 3:
        components += system_libraries(Path(sys.argv[2]))
    missing = [part.name for part in components if not part.texts]
    if missing:
        print(f"No licence text for: {', '.join(missing)}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, components)
    print(f"{len(components)} licences in {folder}")
    return 0


def python_itself() -> Component:
    """Returns the interpreter with its standard library."""
    places = [Path(sysconfig.get_path("stdlib")) / "LICENSE.txt", Path(sys.base_prefix)]
    places[1:] = [places[1] / "LICENSE.txt", Path("/usr/share/doc/python3/copyright")]
    texts = [place for place in places if place.is_file()][:1]
    version = sys.version.split()[0]
    return Component("Python", version, "PSF-2.0", "https://www.python.org/", texts)


def bundled_font() -> Component:
    """Returns the font in `resources/fonts`, made by `installer/fonts.py`."""
    page = "https://fonts.google.com/noto/specimen/Noto+Sans+SC"
    text = ROOT / "resources" / "fonts" / "r1desk-sc.LICENSE.txt"
    texts = [text] if text.is_file() else []
    return Component("Noto Sans SC", "subset", "OFL-1.1", page, texts)


def python_packages() -> list[Component]:
    """Returns every package of this environment that can be in the bundle."""
    found = []
    for package in metadata.distributions():
        name = package.metadata["Name"]
        if name.lower() in BUILD_ONLY:
            continue
        found.append(
            Component(name, package.version, _licence(package), _homepage(package), _texts(package))
        )
    return sorted(found, key=lambda part: part.name.lower())


def _texts(package: metadata.Distribution) -> list[Path]:
    kept = KEPT_TEXTS.get(package.metadata["Name"].lower().replace("_", "-"), [])
    if kept:
        return [HERE / "licences" / name for name in kept]
    texts = [
        Path(str(package.locate_file(file)))
        for file in package.files or []
        if (".dist-info" in file.parts[0] or len(file.parts) == 2)
        and (LICENCE_NAMES.match(file.name) or "licenses" in file.parts[1:-1])
    ]
    return [text for text in texts if text.is_file()]


def _licence(package: metadata.Distribution) -> str:
    said = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    if said and len(said) < 60:
        return said
    classes = package.metadata.get_all("Classifier") or []
    return ", ".join(c.split(" :: ")[-1] for c in classes if c.startswith("License ::"))


def _homepage(package: metadata.Distribution) -> str:
    addresses = package.metadata.get_all("Project-URL") or []
    first = addresses[0].split(",", 1)[-1].strip() if addresses else ""
    return package.metadata.get("Home-page") or first


def system_libraries(bundle: Path) -> list[Component]:
    """Returns the build machine's libraries in `bundle`, by Debian package."""
    if shutil.which("dpkg-query") is None:
        return []
    found: dict[str, Component] = {}
    for library in sorted(bundle.rglob("*.so*")):
        package = _debian_package(library.name)
        if package is None or package in found:
            continue
        text = Path("/usr/share/doc") / package / "copyright"
        query = ["dpkg-query", "--show", "--showformat=${Version}", package]
        version = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        page = f"https://packages.debian.org/{package}"
        texts = [text] if text.is_file() else []
        found[package] = Component(package, version, "see the text", page, texts)
    return list(found.values())


def _debian_package(library: str) -> str | None:
    # Before /lib became a link, packages named the one or the other.
    query = ["dpkg-query", "--search", f"/usr/lib/*/{library}", f"/lib/*/{library}"]
    found = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return found.split(":", 1)[0] if found else None


def write(folder: Path, components: list[Component]) -> None:
    """Write one folder per component, and a readable index."""
    lines = [
        "# What is inside, and under which licence",
        "",
        "R1 Desk itself is under the MIT licence. Qt and PySide6 are used under the LGPL, version",
        "3: their libraries lie in this installation as files of their own and may be replaced.",
        "Their source: https://download.qt.io/official_releases/. The starter model SmolLM2-135M",
        "is by Hugging Face, under the Apache licence 2.0.",
        "",
        "| component | version | licence | source |",
        "| --- | --- | --- | --- |",
    ]
    for part in components:
        target = folder / part.name
        target.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(part.texts):
            name = text.name if number == 0 else f"{number}-{text.name}"
            shutil.copyfile(text, target / name)
        lines.append(f"| {part.name} | {part.version} | {part.licence} | {part.homepage} |")
    shutil.copyfile(ROOT / "LICENSE", folder / "R1-Desk.txt")
    (folder / "INDEX.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
