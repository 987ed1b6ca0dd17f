"""A build hook for hatchling that compiles the native library into the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))
import native_library


class NativeLibrary(BuildHookInterface[Any]):
    """Runs for wheels and for editable installations."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Raises CalledProcessError, UnsupportedMachineError, ModuleNotFoundError."""
        made = native_library.build_here()
        build_data["artifacts"].append(made.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        # The native library knows nothing of Python: one wheel is for all versions of it.
        platform = self.build_config.builder.get_best_matching_tag().rsplit("-", 1)[1]
        build_data["tag"] = f"py3-none-{platform}"
