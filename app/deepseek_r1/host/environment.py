"""Builds the environment and the priority of the engine's process."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from deepseek_r1.core.processes import background_options, child_environment
from deepseek_r1.engine.llama.binding.library import wait_policy


def engine_environment(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the engine's process, taken from `own` (default: this process's)."""
    passed = child_environment(own)
    passed["GGML_NO_BACKTRACE"] = "1"  # an abort must not start a debugger
    passed.update(wait_policy(passed))
    return passed


def start_options() -> dict[str, Any]:
    """Arguments of Popen that differ between systems.

    Elsewhere than on Windows the engine lowers its own priority.
    """
    options = background_options()
    if sys.platform == "win32":
        options["creationflags"] |= subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return options
