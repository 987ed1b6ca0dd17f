"""PyInstaller's bundle and NSIS's installer for Windows, made on Linux. A test build."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from build_cache import BUILT, ROOT, run
from wine_prefix import Wine, windows_path

sys.path.insert(0, str(ROOT / "installer" / "bundle"))
import contents

FOLDER = BUILT / "dist" / "r1desk"
ICON = ROOT / "build" / "bundle" / "icons" / "r1desk.ico"
NOTE = """This is a TEST BUILD of R1 Desk, made on Linux. Never give it away.

It holds a substitute for icuuc.dll, and files of other packages
(installer/windows/wine/packages.txt). Releases are made on Windows (.github/workflows/release.yml).
"""


class StepFailedError(Exception):
    """A program failed under Wine; the text has the end of what it wrote."""


def bundle(session: Wine, python: Path) -> Path:
    """Make the bundle with build.spec. Returns its folder. Raises StepFailedError."""
    here = ROOT / "installer" / "bundle"
    shutil.rmtree(FOLDER, ignore_errors=True)
    _python(session, python, windows_path(here / "icons.py"), windows_path(ICON.parent))
    freeze = ["-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    freeze += [
        "--distpath",
        windows_path(FOLDER.parent),
        "--workpath",
        windows_path(BUILT / "work"),
    ]
    _python(session, python, *freeze, windows_path(ROOT / "build.spec"), PYTHONHASHSEED="1")
    licences = [windows_path(here / "licences.py"), windows_path(FOLDER / "licences")]
    _python(session, python, *licences, windows_path(FOLDER))
    (FOLDER / "_internal" / "TEST BUILD.txt").write_text(NOTE, encoding="utf-8")
    return FOLDER


def installer(version: str, payload: Path, *, compressed: bool) -> Path:
    """Make a setup program. Returns its path. Raises CalledProcessError.

    Without `compressed` it is larger, and made in seconds instead of minutes.
    """
    out = BUILT / "dist" / f"r1desk-{version}-windows-TEST-setup.exe"
    command = ["makensis", "-V2", f"-DVERSION={version}", f"-DPAYLOAD={payload}", f"-DICON={ICON}"]
    command += [f"-DOUT={out}", "-DNOTE=test build"]
    if not compressed:
        command += ["-DUNCOMPRESSED"]
    run(*command, ROOT / "installer" / "windows" / "r1desk.nsi")
    return out


def version() -> str:
    """Returns the application's version."""
    return contents.version(ROOT)


def _python(session: Wine, python: Path, *arguments: str, **environment: str) -> None:
    done: subprocess.CompletedProcess[str] = session.run(python, *arguments, **environment)
    if done.returncode:
        raise StepFailedError(
            f"{arguments[:2]}: {done.returncode}\n{done.stdout}{done.stderr[-4000:]}"
        )
