"""Measures what huge pages for a model's weights are worth, in decode and prefill.

    python tests/benchmarks/bench_huge_pages.py MODEL [--blocks 8] [--tokens 128] [--json]

Two engine processes have the model in memory: one as the host starts it, and one to which Linux
gives no huge pages (see `engine_pairs`). Linux only, where transparent huge pages are "madvise" or
"always". The exit status is 1 if texts differ.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "app"), str(HERE.parents[1])]

from benchmarks.engine_pairs import argument_parser, engine, load_settings, measure, report_table
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.client import EngineClient

SMALL_PAGES: Final = "--small-pages"
ARMS: Final = ("huge", "small")
_PR_SET_THP_DISABLE: Final = 41  # linux/prctl.h


def engine_with_small_pages() -> None:
    """Run as the engine's process, without huge pages."""
    from deepseek_r1.host import child  # noqa: PLC0415 - in that process alone

    if ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0):
        raise SystemExit("Linux did not take the huge pages away")
    with contextlib.suppress(KeyboardInterrupt):
        child.main()


def engine_of(
    arm: str, model: Path, settings: LoadSettings
) -> AbstractContextManager[EngineClient]:
    """Return the client of an engine, as a context manager."""
    command = [sys.executable, str(HERE), SMALL_PAGES] if arm == "small" else None
    least_mib = model.stat().st_size / 2**20 / 2  # of the weights
    return engine(
        command,
        model,
        settings,
        lambda client: (huge_mib(client.pid) > least_mib) == (arm == "huge"),
    )


def huge_mib(pid: int | None) -> float:
    """Return the MiB of a process that are in huge pages."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    line = next(each for each in text.splitlines() if each.startswith("AnonHugePages:"))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Run the command line. Returns the exit status."""
    if SMALL_PAGES in sys.argv:
        engine_with_small_pages()
        return 0
    given = argument_parser(__doc__.partition("\n")[0]).parse_args()
    settings = load_settings()
    with ExitStack() as stack:
        engines = {arm: stack.enter_context(engine_of(arm, given.model, settings)) for arm in ARMS}
        report = measure(engines, given.blocks, given.tokens) | {"model": given.model.name}
    print(json.dumps(report) if given.json else report_table(report))
    return int(report["blocks_with_other_texts"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
