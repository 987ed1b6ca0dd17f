"""Checks the installed libraries and their versions."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterator, Sequence

from deepseek_r1.checks.finding import Finding, Severity
from deepseek_r1.core import VERSION
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.process_lock import missing_parts
from deepseek_r1.engine.interface import engine_name
from deepseek_r1.native.native_library import LIBRARY, native

_PACKAGES = {"llama-cpp-python": "llama_cpp", "ctransformers": "ctransformers"}


def check() -> Iterator[Finding]:
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
    """Reports our own native library if it cannot be loaded."""
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
