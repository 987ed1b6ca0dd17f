"""The engines' names and versions, found without loading them."""

from __future__ import annotations

from importlib import metadata

_MAIN = ("llama.cpp", "llama-cpp-python")
_LEGACY = ("ctransformers", "ctransformers")


def engine_name(*, legacy: bool = False) -> str:
    """Return the name and build of the main engine, or of the one for old files."""
    name, package = _LEGACY if legacy else _MAIN
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:  # a bundle may come without the packages' metadata
        return name
    return f"{name} {version}" if name == package else f"{name} ({package} {version})"
