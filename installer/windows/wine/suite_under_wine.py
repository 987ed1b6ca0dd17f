"""Runs pytest with the Windows interpreter under Wine, and prints a table of the results."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import wine_results
from build_cache import BUILT, HERE, ROOT
from wine_prefix import Wine, windows_path
from wine_results import FAILED, PASSED, SKIPPED, STARTED, Result

# Tests of what differs on Windows: storage, memory, and the engine in its process.
CHOSEN = (
    "tests/engine/llama/test_exported_functions.py",
    "tests/hardware/test_storage.py",
    "tests/weights/streaming/test_direct_file.py",
    "tests/weights/streaming/test_prefetch.py",
    "tests/weights/streaming/test_streamed_weights.py",
    "tests/host/test_streaming_engine.py",
    "tests/checks",
)
# All tests that concern Windows, the quick ones first. They take more than an hour.
RELEVANT = (
    "tests/hardware",
    "tests/formats",
    "tests/core",
    "tests/memory",
    "tests/catalogue",
    "tests/convert",
    "tests/checks",
    "tests/weights",
    "tests/store",
    "tests/conversations",
    "tests/engine",
    "tests/inference",
    "tests/host",
    "tests/chat",
    "tests/performance",
    "tests/window",
)
RESULTS = BUILT / "results"
LONGEST_TEST_S = 240  # programs start slowly under Wine
KILL_ROUNDS = "5"  # of 20; each starts an interpreter
NORMAL_ENDS = (0, 1, 5)  # pytest's: all passed, some failed, no tests left
goes_on = False
"""With True, tests that passed or were skipped in an earlier run are not run again."""


class TestsFailedError(Exception):
    """Some tests failed; the table has been printed."""


def run_tests(session: Wine, python: Path, paths: Sequence[str]) -> None:
    """Run the tests of some files and print the table. Raises TestsFailedError."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[Result]] = {}
    for path in paths:
        file = RESULTS / f"{Path(path).relative_to('tests').as_posix().replace('/', '-')}.jsonl"
        earlier = wine_results.results(file).values() if goes_on else ()
        file.unlink(missing_ok=True)
        for each in earlier:
            if each.outcome in (PASSED, SKIPPED):
                wine_results.record(file, each)
        _run_part(session, python, path, file)
        parts[path.removeprefix("tests/")] = list(wine_results.results(file).values())
    print(wine_results.table(parts), flush=True)
    failed = sum(each.outcome == FAILED for part in parts.values() for each in part)
    if failed:
        raise TestsFailedError(f"{failed} tests failed")


def _run_part(session: Wine, python: Path, path: str, file: Path) -> None:
    """Run the tests of a folder or file; go on after a test that ended its interpreter."""
    while True:
        status = _pytest(session, python, path, file)
        stopped = [each for each in wine_results.results(file).values() if each.outcome == STARTED]
        for each in stopped:
            why = f"not ended after {LONGEST_TEST_S} s, or its interpreter ended: {status}"
            wine_results.record(file, Result(each.test, FAILED, why))
        if not stopped and status not in NORMAL_ENDS:
            raise TestsFailedError(f"pytest ended with {status} in {path}")
        if not stopped:
            return


def _pytest(session: Wine, python: Path, path: str, file: Path) -> int:
    """Run pytest for the tests without a result. Returns its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        # pytest keeps its temporary files, and Wine's own folder of them stays with the prefix.
        options = ["-p", "no:cacheprovider", "--color=no", "-q", "--timeout-method=thread"]
        options += [f"--timeout={LONGEST_TEST_S}", f"--basetemp={windows_path(Path(folder) / 'b')}"]
        options += ["-o", "pythonpath=app tests", "-o", "addopts=--strict-markers"]
        options += ["-p", "wine_results", "--tb=short", "-m", "not quiet"]
        options += ["--continue-on-collection-errors"]
        search = ";".join(map(windows_path, (ROOT / "app", HERE)))
        environment = session.environment(
            PYTHONPATH=search,
            QT_QPA_PLATFORM="offscreen",
            R1_KILL_ROUNDS=KILL_ROUNDS,
            **{wine_results.VARIABLE: windows_path(file)},
        )
        done = subprocess.run(
            session.command(python, "-m", "pytest", *options, path),
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    return done.returncode
