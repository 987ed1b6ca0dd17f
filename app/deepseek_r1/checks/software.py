"""The programs this one is made of, in which versions."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from deepseek_r1 import __version__
from deepseek_r1.checks.finding import Finding, Verdict
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.core.words import tr
from deepseek_r1.native.library import LIBRARY, native

_PACKAGES = {"llama-cpp-python": "llama_cpp", "ctransformers": "ctransformers"}


def check() -> Iterator[Finding]:
    """In the order in which they are shown."""
    yield Finding("version", tr("Version"), __version__)
    yield Finding(
        "system", tr("System"), f"{platform.platform()}, Python {platform.python_version()}"
    )
    yield _library("llama-cpp-python", tr("Engine"), Verdict.PROBLEM)
    yield from _native()
    yield _library("ctransformers", tr("Engine for old files"), Verdict.NOTE)
    yield from _old_files()


def _library(package: str, title: str, without: Verdict) -> Finding:
    if importlib.util.find_spec(_PACKAGES[package]) is None:
        todo = tr("It is missing. Install the application again.")
        return Finding(package, title, package, without, todo)
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:  # a bundle may come without the packages' metadata
        version = ""
    return Finding(package, title, f"{package} {version}".rstrip())


def _native() -> Iterator[Finding]:
    """Nothing where our own library is as it should be."""
    try:
        native()
    except EngineStartFailed:
        todo = tr("It is missing. Install the application again.")
        yield Finding("native", tr("Engine"), LIBRARY.name, Verdict.PROBLEM, todo)


def _old_files() -> Iterator[Finding]:
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64") or sys.platform == "darwin":
        return
    todo = tr("Files from before GGUF cannot be opened here. Look for GGUF versions.")
    value = f"{platform.system()} {machine}"
    yield Finding("old_files", tr("Old model files"), value, Verdict.NOTE, todo)
