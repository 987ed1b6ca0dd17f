"""Checks what is installed and where: profile, drives and models; the libraries."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from deepseek_r1.catalogue.errors import FolderUnusable
from deepseek_r1.catalogue.file_rules import require_present
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.installed import installed_models, model_files
from deepseek_r1.checks.finding import Finding, Severity
from deepseek_r1.core import VERSION
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import is_profile_chosen, profile_dir, starter_model
from deepseek_r1.core.process_lock import missing_parts
from deepseek_r1.core.units import in_sentence
from deepseek_r1.engine.interface import engine_name
from deepseek_r1.hardware.linux import small_text
from deepseek_r1.hardware.read_speed import read_speed_mib_s
from deepseek_r1.native.native_library import LIBRARY, native

LEAST_FREE_MIB = 5 * 1024  # one model of medium size
SLOW_MIB_S = 300.0  # slower drives need several seconds for a word of a streamed model
FASTEST_TURNING_MIB_S = 600.0
_MIB = 1 << 20
_FAR = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afpfs"})


def check_drives() -> Iterator[Finding]:
    """Yields the findings in the order in which they are shown."""
    yield profile_finding(profile_dir())
    folder = user_models_dir()
    try:
        require_present(folder)
    except FolderUnusable as missing:  # of the drive that is there instead nothing is told
        title, text = tr("Models folder"), str(missing)
        yield Finding("folder", title, str(folder), Severity.PROBLEM, text)
    else:
        yield free_space_finding(_existing(folder))
        yield _drive(folder)
    yield from _models()


def _existing(place: Path) -> Path:
    return next(each for each in (place, *place.parents) if each.exists())


def profile_finding(profile: Path) -> Finding:
    """Checks that conversations can be saved.

    A server in a container does not need that: its profile is chosen and its file system read-only.
    """
    place, found = _existing(profile), Finding("profile", tr("Profile"), str(profile))
    if place.is_dir() and os.access(place, os.W_OK):
        return found
    read_only = sys.platform != "win32" and os.statvfs(place).f_flag & os.ST_RDONLY
    server = tr("It is on a read-only file system: a server runs, but nothing can be saved.")
    todo = tr(
        "It cannot be written to. Correct its permissions, or set R1DESK_PROFILE to another folder."
    )
    found = found.where(bool(read_only) and is_profile_chosen(), Severity.NOTE, server)
    return found.where(True, Severity.PROBLEM, todo)


def free_space_finding(folder: Path) -> Finding:
    """Checks that there is space for a model."""
    free = shutil.disk_usage(folder).free / _MIB
    value = tr("{memory} free for models", memory=in_sentence(free))
    todo = tr("Free some space before you download a model.")
    found = Finding("room", tr("Disk space"), value)
    return found.where(free < LEAST_FREE_MIB, Severity.WARNING, todo)


def readable_on(folder: Path) -> Path | None:
    """Returns a model on the drive of `folder` for measuring it, the starter included.

    A drive without a model is not measured, because a check writes nothing.
    """
    starter = starter_model()
    there = (*model_files(folder), *((starter,) if starter is not None else ()))
    device = _existing(folder).stat().st_dev
    return next((each for each in there if each.stat().st_dev == device), None)


def _drive(folder: Path) -> Finding:
    model = readable_on(folder)
    speed = read_speed_mib_s(model) if model is not None else 0.0
    unbelievable = speed > FASTEST_TURNING_MIB_S  # virtual drives may claim to rotate
    kind = "" if unbelievable else drive_kind(_existing(folder))
    value = ", ".join(
        part
        for part in (kind, tr("{speed} a second", speed=in_sentence(speed)) if speed else "")
        if part
    )
    far = tr("Models on a network drive load slowly and do not run well from the disk.")
    slow = tr("Too slow for models that run from the disk. Choose one that fits into memory.")
    found = Finding("drive", tr("Drive"), value or tr("unknown"))
    found = found.where(file_system(_existing(folder)) in _FAR, Severity.WARNING, far)
    return found.where(0 < speed < SLOW_MIB_S, Severity.NOTE, slow)


def file_system(folder: Path) -> str:
    """Returns the file system's type at the mount point of `folder`, empty if unknown."""
    place = folder.resolve()
    found = [p for p in psutil.disk_partitions(all=True) if place.is_relative_to(p.mountpoint)]
    return max(found, key=lambda p: len(p.mountpoint)).fstype if found else ""


def drive_kind(folder: Path, root: Path = Path("/")) -> str:
    """Returns the kind of drive that Linux reports, empty if unknown."""
    if sys.platform == "win32":
        return ""
    device = folder.stat().st_dev
    block = root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    for place in (block, block.resolve().parent):  # a partition has no queue, but its drive has
        turning = small_text(place / "queue/rotational")
        if turning:
            return tr("hard disk") if turning == "1" else tr("solid-state drive")
    return ""


def _models() -> Iterator[Finding]:
    with HeaderProcess() as process:
        models = installed_models(read=process.read_header)
    usable = sum(model.error is None for model in models)
    value = tr("{n} usable", n=usable)
    todo = tr("Download one with “deepseek-r1 models pull”, or open your own file.")
    yield Finding("models", tr("Models"), value).where(not usable, Severity.PROBLEM, todo)
    for model in models:
        if model.error is not None:
            yield Finding(
                "model", model.name, str(model.path), Severity.WARNING, model.error.text()
            )


_PACKAGES = {"llama-cpp-python": "llama_cpp", "ctransformers": "ctransformers"}


def check_software() -> Iterator[Finding]:
    """Yields the findings in the order in which they are shown."""
    yield Finding("version", tr("Version"), VERSION)
    yield Finding(
        "system", tr("System"), f"{platform.platform()}, Python {platform.python_version()}"
    )
    yield _library("llama-cpp-python", tr("Engine"), Severity.PROBLEM)
    yield from _native()
    yield process_lock_finding(missing_parts())
    yield _old_files()


def _library(package: str, title: str, without: Severity) -> Finding:
    if importlib.util.find_spec(_PACKAGES[package]) is None:
        todo = tr("It is missing. Install R1 Desk again.")
        return Finding(package, title, package, without, todo)
    return Finding(package, title, engine_name(legacy=package == "ctransformers"))


def _native() -> Iterator[Finding]:
    try:
        native()
    except EngineStartFailed:
        todo = tr("It is missing. Install R1 Desk again.")
        yield Finding("native", tr("Engine"), LIBRARY.name, Severity.PROBLEM, todo)


def process_lock_finding(missing: Sequence[str]) -> Finding:
    """Reports what the system cannot take away from the engine's process."""
    title = tr("Engine sandbox")
    if not missing:
        value = tr("no network, no other programs or processes, only the model's files")
        return Finding("lock", title, value)
    value = tr("not on this system: {parts}", parts=", ".join(tr(part) for part in missing))
    todo = tr(
        "Open only files from sources you trust. On Linux 5.13 or later the "
        "engine runs in a sandbox."
    )
    return Finding("lock", title, value, Severity.NOTE, todo)


def _old_files() -> Finding:
    """The engine for files older than GGUF, which is not installed where it has no code."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64") or sys.platform == "darwin":
        return _library("ctransformers", tr("Engine for old files"), Severity.NOTE)
    todo = tr("Files older than GGUF cannot be opened here. Look for GGUF versions.")
    value = f"{platform.system()} {machine}"
    return Finding("old_files", tr("Old model files"), value, Severity.NOTE, todo)
