"""Imports the low-level module of a binding without running its package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any


def import_low_level(package: str, module: str, distribution: str) -> Any:
    """Import `package.module`, with `package` as an empty module that has only a search path.

    Raises ImportError, with the name of the `distribution` where it is not installed.
    """
    if package not in sys.modules:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError(f"{distribution} is not installed")
        bare = types.ModuleType(package)
        bare.__path__ = list(spec.submodule_search_locations)
        bare.__spec__ = spec
        sys.modules[package] = bare
    return importlib.import_module(f"{package}.{module}")
