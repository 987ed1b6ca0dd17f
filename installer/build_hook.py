"""A build hook for hatchling that compiles the native library into the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))
import native_library


class NativeLibrary(BuildHookInterface[Any]):
    """Runs for wheels and for editable installations.

    The native library knows nothing of Python: one wheel is for all versions of it. `R1DESK_TARGET`
    is the target of a wheel for another system.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises CalledProcessError, UnsupportedMachineError, ModuleNotFoundError."""
        target = os.environ.get("R1DESK_TARGET") or native_library.own_target()
        place = native_library.library(target).relative_to(self.root)
        if version == "editable":
            native_library.build_here()
            build_data["artifacts"].append(place.as_posix())
        else:
            inside = place.relative_to("app").as_posix()
            made = native_library.build_for_wheel(target)
            build_data["force_include"][str(made)] = inside
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{native_library.TARGETS[target].wheels}"
