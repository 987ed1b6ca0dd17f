"""What the engines are called, told without loading them."""

from __future__ import annotations

from importlib import metadata

_MAIN = ("llama.cpp", "llama-cpp-python")
_LEGACY = ("ctransformers", "ctransformers")


def engine_name(*, legacy: bool = False) -> str:
    """The main engine and its build, or those of the engine for old files."""
    name, package = _LEGACY if legacy else _MAIN
    try:
        return f"{name} ({metadata.version(package)})"
    except metadata.PackageNotFoundError:  # a bundle may come without the packages' metadata
        return name
