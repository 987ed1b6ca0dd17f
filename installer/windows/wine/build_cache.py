"""A cache of folders that are made once: their names have a digest of what they are made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
BUILT = Path(os.environ.get("R1DESK_WINDOWS_BUILD", ROOT / "build" / "windows"))
DIGEST_LETTERS = 12
only_cached = False
"""With True nothing is made: a folder that does not exist raises NotCachedError."""


class NotCachedError(Exception):
    """A folder is not in the cache."""


def cached(name: str, inputs: Iterable[Path | str], make: Callable[[Path], None]) -> Path:
    """Returns the folder `name`-DIGEST, which `make` fills if it does not exist.

    `inputs` are files, of which the contents count, and texts. A folder that `make` did not finish
    has another name and is made again. Raises NotCachedError with `only_cached`.
    """
    place = BUILT / f"{name}-{digest(inputs)}"
    if not place.is_dir():
        if only_cached:
            raise NotCachedError(f"{place} has not been made")
        print(f"--- {name}: made in {place}", flush=True)
        unfinished = place.with_name(place.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        make(unfinished)
        unfinished.rename(place)
    return place


def digest(inputs: Iterable[Path | str]) -> str:
    """Returns the first `DIGEST_LETTERS` of the SHA-256 of all inputs."""
    whole = hashlib.sha256()
    for each in inputs:
        content = each.read_bytes() if isinstance(each, Path) else each.encode()
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()[:DIGEST_LETTERS]


def run(*command: str | Path, folder: Path | None = None) -> None:
    """Run a command in `folder`. Raises CalledProcessError."""
    subprocess.run([str(part) for part in command], cwd=folder, check=True)


def link_tree(source: Path, target: Path) -> None:
    """Copy a folder into `target`, as hard links where the file system allows it."""
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> str:
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
