"""Hunt for inputs that break a promise: several hunters in turns, until the time is over.

    python bench/campaign/campaign.py --minutes 60                 # or: make campaign MINUTES=60
    python bench/campaign/campaign.py --seed 7 --only templates,imports --cases 1000

The seed is printed first; with the same one each hunter tries the same cases in the same order. A
case that breaks a promise is kept in a folder that is named, and the exit status is 1. Ctrl-C ends
the hunt with the table so far. Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

KEPT = ROOT / "build" / "campaign"
TURN_S = 10.0
STUCK_S = 120.0  # then all processes are ended, so that the hunt goes on


@dataclass(frozen=True)
class Case:
    """What was tried: how it was received, why that breaks a promise, and what shows it again."""

    verdict: str
    bad: str = ""
    data: bytes | str = b""
    suffix: str = ".txt"


def processor_s() -> float:
    """What this process and the ended ones below it have used: other programs do not count in it.

    What waits for ever is ended after `STUCK_S`.
    """
    return sum(os.times()[:4])


Hunter = Callable[[int, Path], Iterator[Case]]  # of a seed and a folder of its own


@dataclass
class Found:
    """What one hunter has found."""

    verdicts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest_s: float = 0.0
    bad: list[str] = field(default_factory=list)
    failed: bool = False  # the hunter itself


class Campaign:
    """Lets hunters try cases in turns."""

    def __init__(self, hunters: Mapping[str, Hunter], seed: int, keep: Path) -> None:
        self.found = {name: Found() for name in hunters}
        self._hunters, self._seed, self._keep = hunters, seed, keep

    def run(self, seconds: float, cases: float = float("inf")) -> None:
        """Hunt for this long, or for this number of cases of each hunter."""
        end = time.monotonic() + seconds
        with contextlib.ExitStack() as stack:
            every = {}
            for name, hunter in self._hunters.items():
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-"))
                every[name] = hunter(self._seed, Path(folder))
                stack.callback(every[name].close)  # type: ignore[attr-defined]
            while every and time.monotonic() < end:
                for name in list(every):
                    self._turn(name, every[name], min(end, time.monotonic() + TURN_S), cases)
                    if self.found[name].verdicts.total() >= cases or self.found[name].failed:
                        del every[name]

    def _turn(self, name: str, every: Iterator[Case], end: float, cases: float) -> None:
        found = self.found[name]
        while True:
            began = time.monotonic()
            stuck = threading.Timer(STUCK_S, _end_children)
            stuck.start()
            try:
                case = next(every)
            except Exception:  # noqa: BLE001 - the others go on
                case = Case("failed", "the hunter itself failed", traceback.format_exc())
                found.failed = True
            finally:
                stuck.cancel()
            took_s = time.monotonic() - began
            found.verdicts[case.verdict] += 1
            found.seconds += took_s
            found.slowest_s = max(found.slowest_s, took_s)
            if case.bad:
                self._show(name, case)
            if found.failed or time.monotonic() >= end or found.verdicts.total() >= cases:
                return

    def _show(self, name: str, case: Case) -> None:
        found = self.found[name]
        self._keep.mkdir(parents=True, exist_ok=True)
        path = self._keep / f"{name}-{found.verdicts.total()}{case.suffix}"
        data = case.data
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
        found.bad.append(f"{name}, case {found.verdicts.total()}: {case.bad} ({path})")
        print(found.bad[-1], flush=True)

    def table(self) -> str:
        """What each hunter has tried, and how often what came of it."""
        lines = []
        for name, found in self.found.items():
            verdicts = ", ".join(f"{count} {text}" for text, count in found.verdicts.most_common(6))
            lines.append(
                f"{name}: {found.verdicts.total()} in {found.seconds:.0f} s, slowest "
                f"{found.slowest_s:.1f} s, {len(found.bad)} bad; {verdicts}"
            )
        return "\n".join(lines)


def _end_children() -> None:
    for child in psutil.Process().children(recursive=True):
        child.kill()


def main() -> int:
    """Run as the options say; the exit status is the verdict."""
    from bench.campaign.file_hunters import FILE_HUNTERS  # noqa: PLC0415 - both import this module
    from bench.campaign.process_hunters import PROCESS_HUNTERS  # noqa: PLC0415
    from bench.campaign.reading_hunters import READING_HUNTERS  # noqa: PLC0415

    hunters = {**FILE_HUNTERS, **PROCESS_HUNTERS, **READING_HUNTERS}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", default=",".join(hunters), help="hunters, with commas between")
    parser.add_argument("--cases", type=float, default=float("inf"), help="of each hunter, at most")
    options = parser.parse_args()
    keep = KEPT / str(options.seed)
    print(f"seed {options.seed}; cases that break a promise are kept in {keep}", flush=True)
    chosen = {name: hunters[name] for name in options.only.split(",")}
    campaign = Campaign(chosen, options.seed, keep)
    with contextlib.suppress(KeyboardInterrupt):
        campaign.run(options.minutes * 60, options.cases)
    print(campaign.table())
    return int(any(found.bad for found in campaign.found.values()))


if __name__ == "__main__":
    sys.modules["bench.campaign.campaign"] = sys.modules["__main__"]
    raise SystemExit(main())
