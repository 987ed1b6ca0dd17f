"""The engines' packages: names and versions, and their low-level modules without the rest."""

import importlib
import importlib.util
import sys
import types
from functools import cache
from importlib import metadata
from typing import Any

_MAIN = ("llama.cpp", "llama-cpp-python")
_LEGACY = ("ctransformers", "ctransformers")


def engine_name(*, legacy: bool = False) -> str:
    """Return the name and build of the main engine, or of the one for old files."""
    name, package = _LEGACY if legacy else _MAIN
    version = package_version(package)
    if not version or name == package:
        return f"{name} {version}".rstrip()
    return f"{name} ({package} {version})"


def package_version(package: str) -> str:
    """Return its version; empty in a bundle that comes without the packages' metadata."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@cache
def import_low_level(package: str, module: str, distribution: str) -> Any:
    """Import `package.module`, with `package` as an empty module that has only a search path.

    The names are free again afterwards: others in this process import the whole package. Raises
    ImportError, with the name of the `distribution` where it is not installed.
    """
    if package in sys.modules:
        return importlib.import_module(f"{package}.{module}")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{distribution} is not installed")
    bare = types.ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations)
    bare.__spec__ = spec
    sys.modules[package] = bare
    try:
        return importlib.import_module(f"{package}.{module}")
    finally:
        for name in [each for each in sys.modules if f"{each}.".startswith(f"{package}.")]:
            del sys.modules[name]
