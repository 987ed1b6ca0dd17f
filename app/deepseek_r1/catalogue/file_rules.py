"""Rules for files in the models' folder: their names, their space, the errors of its drive."""

import contextlib
import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deepseek_r1.catalogue.errors import FileNameUnusable, FolderFull, FolderUnusable, NoSpace
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import chosen_models_dir

SUFFIX = ".gguf"
MOST_BYTES = 200  # every file system allows 255; the rest is for our own suffixes
RESERVE_BYTES = 64 << 20  # kept free on the drive
LEAST_FREE_BYTES = 500_000_000  # in a folder that is chosen for models; the smallest take more
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


def require_space(file: str, folder: Path, missing_bytes: int) -> None:
    """Raise NoSpace unless `missing_bytes` and the reserve fit on the drive of `folder`."""
    needed, free = missing_bytes + RESERVE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise no_space(file, folder, needed, free)


def require_present(folder: Path) -> None:
    """Raise FolderUnusable if the folder that the user chose is not there.

    It would be created on another drive while its own is not connected.
    """
    if folder == chosen_models_dir() and not folder.is_dir():
        detail = tr("it is not there; its drive may not be connected")
        raise FolderUnusable(folder=str(folder), detail=detail)


def require_usable(folder: Path) -> None:
    """Raise FolderUnusable or FolderFull unless models can be downloaded into `folder`.

    A file without a name is written there for a moment. May wait for a slow drive.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))
            probe.flush()
        free = shutil.disk_usage(folder).free
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        detail = getattr(error, "strerror", None) or str(error)
        raise FolderUnusable(folder=str(folder), detail=detail) from error
    if free < LEAST_FREE_BYTES:
        raise FolderFull(folder=str(folder), free_mib=free >> 20)


def no_space(file: str, folder: Path, needed_bytes: int, free_bytes: int) -> NoSpace:
    """The error for a drive that is too full."""
    needed_mib, free_mib = ceil(needed_bytes / 2**20), free_bytes >> 20
    return NoSpace(file=file, folder=str(folder), needed_mib=needed_mib, free_mib=free_mib)


@contextlib.contextmanager
def disk_errors(file: str, folder: Path) -> Iterator[None]:
    """Raise NoSpace or FolderUnusable in place of an OSError inside the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(folder).free
            raise no_space(file, folder, RESERVE_BYTES, free) from error
        detail = error.strerror or str(error)
        raise FolderUnusable(file=file, folder=str(folder), detail=detail) from error
