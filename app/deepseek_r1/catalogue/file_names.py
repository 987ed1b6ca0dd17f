"""Checks the names that servers and users give to files in the models' folder."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deepseek_r1.catalogue.errors import FileNameUnusable

SUFFIX = ".gguf"
MOST_BYTES = 200  # every file system allows 255; the rest is for our own suffixes
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)")  # reserved by Windows, with any suffix
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def checked_name(name: str) -> str:
    """Returns `name` if it is a plain file name on every system. Raises FileNameUnusable."""
    stem = name.partition(".")[0]
    sound = (
        name.endswith(SUFFIX)
        and not name.startswith(".")
        and name.isprintable()
        and not _FORBIDDEN.search(name)
        and not _DEVICES.fullmatch(stem.strip())
        and len(name.encode("utf-8", "replace")) <= MOST_BYTES
    )
    if not sound:
        shown = "".join(c if c.isprintable() else "?" for c in name[:100])
        raise FileNameUnusable(name=shown)
    return name


def name_in_url(url: str) -> str:
    """Returns the file name in the last part of an address. Raises FileNameUnusable."""
    return checked_name(unquote(urlsplit(url).path.rpartition("/")[2]))


def part_of(name: str) -> tuple[str, int, int] | None:
    """Returns (stem, number, count) for one file of a split model, else None."""
    found = _PART.fullmatch(name)
    return (found["stem"], int(found["number"]), int(found["count"])) if found else None


def files_of(path: Path) -> tuple[Path, ...]:
    """Returns the file, or all existing files of the split model that it belongs to."""
    part = part_of(path.name)
    if part is None:
        return (path,)
    stem, _, count = part
    names = (path.with_name(f"{stem}-{n + 1:05d}-of-{count:05d}.gguf") for n in range(count))
    return tuple(name for name in names if name.is_file())
