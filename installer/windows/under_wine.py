#!/usr/bin/env python3
"""Makes and tries the Windows application on Linux, under Wine. A test build: never release it.

    python3 installer/windows/under_wine.py             # everything, one after the other
    python3 installer/windows/under_wine.py source      # one step
    python3 installer/windows/under_wine.py --all-processors …   # llama.cpp as in a release
    python3 installer/windows/under_wine.py --go-on suite      # without what has passed already
    python3 installer/windows/under_wine.py suite --tests tests/store tests/host/test_child.py

source     the application from its source: the window opens, is asked by keyboard, answers
tests      the tests of what differs most on Windows, with the Windows interpreter
suite      all tests that bear on Windows, as a table: passed, skipped with the reason, failed
memory     a model larger than its budget: its peak beside the bill, and the same text
bundle     PyInstaller's bundle with build.spec; it is asked as well
installer  NSIS's setup program: installed, used, refused while running, upgraded, removed

What is made is kept below build/windows (R1DESK_WINDOWS_BUILD), with pictures of the windows. The
compiler is clang from PyPI (`ziglang`), as on Windows. Needs Debian 13 with:

    apt-get install --no-install-recommends fonts-wine imagemagick nsis wine wine64 xdotool xvfb
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "installer" / "windows" / "wine"), str(ROOT / "installer" / "bundle")]
import build_cache  # noqa: E402
import bundle_under_wine  # noqa: E402 - below this folder
import installed_under_wine  # noqa: E402
import memory_under_wine  # noqa: E402
import screen  # noqa: E402
import smoke  # noqa: E402
import suite_under_wine  # noqa: E402
import window_under_wine  # noqa: E402
import windows_llama  # noqa: E402
import windows_python  # noqa: E402
from wine_prefix import Wine, WineMissingError, windows_path, wine  # noqa: E402

FAILURES = (
    bundle_under_wine.StepFailedError,
    suite_under_wine.TestsFailedError,
    screen.NoScreen,
    smoke.SmokeFailed,
    subprocess.CalledProcessError,
)


def interpreter(*, all_processors: bool) -> Path:
    """Returns python.exe; beside it and in the sources is everything that the application needs."""
    windows_llama.native_library()
    return windows_python.python(all_processors=all_processors) / "python.exe"


def try_source(session: Wine, python: Path) -> None:
    """Run the application from its source."""
    programs = {
        "r1desk": (python, "-m", "r1desk"),
        "deepseek-r1": (python, "-m", "deepseek_r1.cli"),
    }
    variables = {"PYTHONPATH": windows_path(ROOT / "app")}
    report(window_under_wine.use(session, programs, build_cache.BUILT / "source.png", variables))


def run_chosen_tests(session: Wine, python: Path) -> None:
    """Run the tests of what differs most on Windows."""
    suite_under_wine.run_tests(session, python, suite_under_wine.CHOSEN)


def run_relevant_tests(
    session: Wine, python: Path, paths: Sequence[str] = suite_under_wine.RELEVANT
) -> None:
    """Run the tests that bear on Windows: all of them, or those of `paths`."""
    suite_under_wine.run_tests(session, python, paths)


def compare_with_bill(session: Wine, python: Path) -> None:
    """Run a model that is larger than its budget."""
    for line in memory_under_wine.compare_with_bill(session, python):
        print(line, flush=True)


def try_bundle(session: Wine, python: Path) -> None:
    """Make the bundle and use it."""
    folder = bundle_under_wine.bundle(session, python)
    programs = installed_under_wine.programs(folder)
    report(window_under_wine.use(session, programs, build_cache.BUILT / "frozen.png"))


def try_installer(_session: Wine, _python: Path) -> None:
    """Install the bundle in a Windows without anything else, use, upgrade and remove it."""
    prefix = build_cache.BUILT / "prefix-installed"
    shutil.rmtree(prefix, ignore_errors=True)
    with wine(prefix) as fresh:
        for line in installed_under_wine.try_installer(fresh, bundle_under_wine.FOLDER):
            print(line, flush=True)


STEPS: dict[str, Callable[[Wine, Path], None]] = {
    "source": try_source,
    "tests": run_chosen_tests,
    "suite": run_relevant_tests,
    "memory": compare_with_bill,
    "bundle": try_bundle,
    "installer": try_installer,
}


def report(findings: dict[str, dict[str, object]]) -> None:
    """Print what was seen."""
    for part, facts in findings.items():
        print(f"{part}: " + "; ".join(f"{name} {value}" for name, value in facts.items()))


def main() -> int:
    """Take the steps in the arguments. Returns 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("steps", nargs="*", help=f"of {', '.join(STEPS)}; all by default")
    parser.add_argument("--all-processors", action="store_true", help="llama.cpp as in a release")
    parser.add_argument("--prefix", default="prefix", help="another Windows, to run beside one")
    parser.add_argument("--if-cached", action="store_true", help="skip what is not made already")
    parser.add_argument("--go-on", action="store_true", help="no test again that has passed")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="the suite's tests, if not all")
    asked = parser.parse_args()
    suite_under_wine.goes_on = asked.go_on
    build_cache.only_cached = asked.if_cached
    if unknown := set(asked.steps) - set(STEPS):
        parser.error(f"no such step: {', '.join(unknown)}")
    steps = dict(STEPS)
    if asked.tests:
        steps["suite"] = partial(run_relevant_tests, paths=asked.tests)
    step = "the application"
    try:
        python = interpreter(all_processors=asked.all_processors)
        with wine(build_cache.BUILT / asked.prefix) as session:
            for step in asked.steps or steps:
                started = time.monotonic()
                print(f"=== {step}", flush=True)
                steps[step](session, python)
                print(f"=== {step}: {time.monotonic() - started:.0f} s", flush=True)
    except (WineMissingError, build_cache.NotCachedError) as missing:
        print(f"{step} was not tried: {missing}", file=sys.stderr)
        return 0 if asked.if_cached else 1
    except FAILURES as failed:
        print(f"{step} failed: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
