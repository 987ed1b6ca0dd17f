#!/usr/bin/env python3
"""Makes Linux packages from a finished bundle: a tarball that runs anywhere, and a .deb.

    python3 installer/linux/package.py dist/r1desk dist

Writes r1desk-VERSION-linux-ARCHITECTURE.tar.xz and r1desk_VERSION_ARCHITECTURE.deb. Needs dpkg-deb
and tar with xz. Only the standard library is used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "installer" / "bundle"))
import contents  # noqa: E402 - beside this folder
import needs  # noqa: E402

COMPONENT = f"{contents.IDENTIFIER}.metainfo.xml"
ICON_SIZES_PX = (16, 24, 32, 48, 64, 128, 256, 512)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KIB = 1024
XZ_LEVEL = 3  # the usual 6 saves 7 MiB of 156: most of it is weights

CONTROL = """\
Package: r1desk
Version: {version}
Architecture: {architecture}
Maintainer: The R1 Desk authors <noreply@example.org>
Installed-Size: {size_kib}
Depends: {depends}
Recommends: fonts-noto-cjk
Section: utils
Priority: optional
Description: chat with DeepSeek-R1 on your own processor
 R1 Desk runs DeepSeek-R1's distilled models, and any other GGUF model, on the
 processor of a laptop, inside one memory budget that you set. It needs no
 graphics card, no account and no network. A small starter model is included.
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: R1 Desk
Comment: The licences of everything in the bundle are in /opt/r1desk/licences.

Files: *
Copyright: The R1 Desk authors
License: Expat
{licence}
"""


def main() -> int:
    """Make both packages from the bundle in the first argument."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    bundle, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for made in (tarball(bundle, out), deb(bundle, out)):
        print(f"{made}: {made.stat().st_size / KIB / KIB:.0f} MiB")
    return 0


def tarball(bundle: Path, out: Path) -> Path:
    """Make an archive of one folder: the bundle, and scripts that add it to the user's menu."""
    name = f"r1desk-{contents.version(ROOT)}-linux-{os.uname().machine}"
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / name
        shutil.copytree(bundle, folder, symlinks=True)
        share = folder / "share"
        share.mkdir()
        for file in ("r1desk.desktop", "r1desk-mime.xml"):
            shutil.copy(HERE / file, share)
        icons(share / "icons" / "hicolor")
        for script in ("install.sh", "uninstall.sh"):
            shutil.copy(HERE / script, folder)
            (folder / script).chmod(0o755)
        archive = out.absolute() / f"{name}.tar.xz"
        command = ["tar", "--create", "--xz", "--owner=0", "--group=0", "--sort=name"]
        if moment := os.environ.get("SOURCE_DATE_EPOCH"):
            command.append(f"--mtime=@{moment}")
        environment = os.environ | {"XZ_OPT": f"-T0 -{XZ_LEVEL}"}
        subprocess.run(
            [*command, "--file", str(archive), "-C", work, name], env=environment, check=True
        )
    return archive


def deb(bundle: Path, out: Path, compression: str = "xz") -> Path:
    """Make a package that installs for all users below /opt and into the menu.

    `compression` is one of dpkg-deb's: "none" is quick, for trying it.
    """
    architecture = ARCHITECTURES[os.uname().machine]
    version = contents.version(ROOT)
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "r1desk"
        shutil.copytree(bundle, tree / "opt" / "r1desk", symlinks=True)
        place_shared_files(tree)
        size = sum(f.lstat().st_size for f in tree.rglob("*") if not f.is_dir())
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN" / "control").write_text(
            CONTROL.format(
                version=version,
                architecture=architecture,
                size_kib=size // KIB,
                depends=", ".join(depends(bundle)),
            ),
            encoding="utf-8",
        )
        package = out.absolute() / f"r1desk_{version}_{architecture}.deb"
        command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", f"-z{XZ_LEVEL}"]
        subprocess.run(
            [*command, "--build", str(tree), str(package)], check=True, stdout=subprocess.DEVNULL
        )
    return package


def place_shared_files(tree: Path) -> None:
    """Write the menu entry, icons, MIME type, AppStream description, commands and licence."""
    share = tree / "usr" / "share"
    install(HERE / "r1desk.desktop", share / "applications")
    install(HERE / "r1desk-mime.xml", share / "mime" / "packages", "r1desk.xml")
    metainfo = share / "metainfo" / COMPONENT
    metainfo.parent.mkdir(parents=True)
    metainfo.write_text(component(), encoding="utf-8")
    icons(share / "icons" / "hicolor")
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()
    indented = "\n".join(f" {line}" if line.strip() else " ." for line in licence)
    notes = share / "doc" / "r1desk" / "copyright"
    notes.parent.mkdir(parents=True)
    notes.write_text(COPYRIGHT.format(licence=indented), encoding="utf-8")
    commands = tree / "usr" / "bin"
    commands.mkdir(parents=True)
    for program in ("r1desk", "deepseek-r1"):
        (commands / program).symlink_to(f"/opt/r1desk/{program}")


def component() -> str:
    """Returns the AppStream description with the present version and date."""
    text = (HERE / COMPONENT).read_text(encoding="utf-8")
    moment = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    date = time.strftime("%Y-%m-%d", time.gmtime(moment))
    return text.replace("@VERSION@", contents.version(ROOT)).replace("@DATE@", date)


def icons(hicolor: Path) -> None:
    """Write the icon in every size that make.py has drawn, and as SVG."""
    drawn = ROOT / "build" / "bundle" / "icons"
    for size in ICON_SIZES_PX:
        install(drawn / f"r1desk-{size}.png", hicolor / f"{size}x{size}" / "apps", "r1desk.png")
    install(ROOT / "resources" / "icons" / "app.svg", hicolor / "scalable" / "apps", "r1desk.svg")


def install(file: Path, folder: Path, name: str = "") -> None:
    """Copy a file so that everyone may read it."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (name or file.name)
    shutil.copyfile(file, target)
    target.chmod(0o644)


def depends(bundle: Path) -> list[str]:
    """Returns the Debian dependencies: the least C library, and the display's libraries."""
    outside = {library.split(".so")[0] for library in needs.outside(bundle)}
    packages = {package for library, package in needs.DEBIAN_PACKAGES.items() if library in outside}
    return [f"libc6 (>= {needs.least_glibc(bundle)})", *sorted(packages)]


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
