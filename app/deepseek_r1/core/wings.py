"""The wings: packages that the daily chat does not need, found by this table of their entries.

Each stands apart, with a README.md and tests of its own. Nothing outside imports one, which
`lint-imports` checks, so each can be left out: what needs it then says so, and the rest runs.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from deepseek_r1.core.errors import WingMissing

WINGS: Final[dict[str, tuple[str, ...]]] = {  # with the wings that each needs
    "convert": (),
    "lab": ("convert",),
    "legacy": (),
    "server": (),
}
ENTRIES: Final = {  # module and name, in the order in which help lists the commands
    "convert": "deepseek_r1.convert.convert_command:convert",
    "quality": "deepseek_r1.lab.quality_command:quality",
    "prune": "deepseek_r1.lab.prune_command:prune",
    "serve": "deepseek_r1.server.serve_command:serve",
    "bench": "deepseek_r1.lab.bench_command:bench",
    "converted_models": "deepseek_r1.convert.convert_command:converted_models",
    "with_importance": "deepseek_r1.lab.prune_command:with_importance",
    "prune_file": "deepseek_r1.lab.prune_command:prune_file",
    "old_header": "deepseek_r1.legacy.ggml_file:read_ggml_header",
    "old_weights_mib": "deepseek_r1.legacy.legacy_costs:weights_mib",
    "old_fixed_mib": "deepseek_r1.legacy.legacy_costs:fixed_mib",
    "old_engine": "deepseek_r1.legacy.legacy_runner:LegacyEngine",
    "old_library": "deepseek_r1.legacy.legacy_model:library",
}


def _missing(name: str) -> str:
    """Return the first package that an entry needs and that is not installed; else nothing."""
    wing = ENTRIES[name].split(".")[1]
    packages = [f"deepseek_r1.{each}" for each in (*WINGS[wing], wing)]
    return next((each for each in packages if find_spec(each) is None), "")


def is_here(name: str) -> bool:
    """Whether the wing of an entry is installed. Imports nothing of it."""
    return not _missing(name)


@cache
def entry(name: str) -> Any:
    """Import and return an entry. Raises WingMissing where its wing was left out."""
    if package := _missing(name):
        raise WingMissing(package=package)
    module, _, attribute = ENTRIES[name].partition(":")
    return getattr(import_module(module), attribute)
