"""Measures the cost of the lock on the engine's process, in decode and prefill.

    python tests/benchmarks/bench_lock.py MODEL [--blocks 8] [--tokens 128] [--budget MIB] [--json]

Two engine processes have the model loaded: one as the host starts it, and one whose locks do
nothing (see `engine_pairs`). With `--budget` the model runs from the disk.

Linux only. The exit status is 1 if texts differ, or if a ratio of tokens a second is below 0.99.
"""

from __future__ import annotations

import contextlib
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

UNLOCKED_ENGINE: Final = "--unlocked-engine"
ARMS: Final = ("locked", "unlocked")
MOST_LOST: Final = 0.01


def unlocked_engine() -> None:
    """Run as the engine's process, without its locks."""
    from deepseek_r1.host import child, model_lock  # noqa: PLC0415 - in that process alone

    child.lock_process = lambda: ()  # type: ignore[assignment]
    model_lock.lock_to_model = lambda _files, _prompts: None
    with contextlib.suppress(KeyboardInterrupt):
        child.main()


def engine_of(
    arm: str, model: Path, settings: LoadSettings
) -> AbstractContextManager[EngineClient]:
    """Return the client of an engine, as a context manager."""
    command = [sys.executable, str(HERE), UNLOCKED_ENGINE] if arm == "unlocked" else None
    return engine(command, model, settings, lambda client: is_locked(client) == (arm == "locked"))


def is_locked(client: EngineClient) -> bool:
    """Return whether the engine's process has more seccomp filters than this one."""
    return _filters(client.pid) > _filters("self")


def _filters(process: int | str | None) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    line = next(each for each in status.splitlines() if each.startswith("Seccomp_filters:"))
    return int(line.split()[1])


def main() -> int:
    """Run the command line. Returns the exit status."""
    if UNLOCKED_ENGINE in sys.argv:
        unlocked_engine()
        return 0
    parser = argument_parser(__doc__.partition("\n")[0])
    parser.add_argument("--budget", type=int, default=0, help="MiB; the model runs from the disk")
    given = parser.parse_args()
    settings = load_settings(given.budget)
    with ExitStack() as stack:
        engines = {arm: stack.enter_context(engine_of(arm, given.model, settings)) for arm in ARMS}
        report = measure(engines, given.blocks, given.tokens) | {"model": given.model.name}
    print(json.dumps(report) if given.json else report_table(report))
    slow = any(report[name]["ratio"] < 1 - MOST_LOST for name in ("prefill", "decode"))
    return int(slow or report["blocks_with_other_texts"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
