"""Records results of tests under Wine at once, as a pytest plugin, and makes a table of them.

A test that is stopped by its time limit takes its interpreter with it, and with that pytest's own
report. So each result, "started" included, is a line of JSON in the file that the variable
R1DESK_TEST_RESULTS names. Tests that have a result are not run again. Those of `not_on_wine.txt`
are skipped. The Windows interpreter and the one of this machine run this: standard library only.
"""

from __future__ import annotations

import fnmatch
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "R1DESK_TEST_RESULTS"
NOT_ON_WINE = Path(__file__).with_name("not_on_wine.txt")
STARTED, PASSED, SKIPPED, FAILED = "started", "passed", "skipped", "failed"
SHOWN_LETTERS = 160


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one test, with the reason unless it passed."""

    test: str
    outcome: str
    reason: str = ""


def record(file: Path, result: Result) -> None:
    """Append a result to a file."""
    line = json.dumps([result.test, result.outcome, result.reason])
    with file.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")


def results(file: Path) -> dict[str, Result]:
    """Returns the last outcome of each test in a file. A failure remains one."""
    last: dict[str, Result] = {}
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            result = Result(*json.loads(line))
            before = last.get(result.test)
            if before is None or before.outcome != FAILED:
                last[result.test] = result
    return last


def not_on_wine(test: str) -> str:
    """Returns the reason why Wine cannot run a test; empty where it can."""
    return next((why for known, why in _known() if fnmatch.fnmatchcase(test, known)), "")


def _known() -> Iterator[tuple[str, str]]:
    for line in NOT_ON_WINE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern, _, reason = line.partition(": ")
            yield pattern.replace("[", "[[]"), reason


def table(parts: Mapping[str, Iterable[Result]]) -> str:
    """Returns the counts of each part as a Markdown table, then the reasons."""
    lines = ["| tests | passed | skipped | failed |", "| --- | ---: | ---: | ---: |"]
    everything: list[Result] = []
    for part, found in parts.items():
        listed = list(found)
        everything += listed
        lines.append(_row(part, listed))
    lines.append(_row("all", everything))
    reasons = Counter(each.reason for each in everything if each.outcome == SKIPPED)
    lines += ["", "Skipped:"]
    lines += [f"{count:4} {reason}" for reason, count in reasons.most_common()]
    lines += ["", "Failed:"]
    failed = [each for each in everything if each.outcome in (FAILED, STARTED)]
    lines += [f"     {each.test}: {each.reason}" for each in failed] or ["     none"]
    return "\n".join(lines)


def _row(name: str, listed: list[Result]) -> str:
    counts = Counter(each.outcome for each in listed)
    failed = counts[FAILED] + counts[STARTED]
    return f"| {name} | {counts[PASSED]} | {counts[SKIPPED]} | {failed} |"


# ---- hooks of pytest, in the Windows interpreter


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Leaves out the tests that have a result, and skips those that Wine cannot run."""
    import pytest  # noqa: PLC0415 - not on this machine

    finished = results(_file())
    items[:] = [item for item in items if item.nodeid not in finished]
    for item in items:
        if reason := not_on_wine(item.nodeid):
            item.add_marker(pytest.mark.skip(reason=f"not on Wine: {reason}"))


def pytest_runtest_logstart(nodeid: str) -> None:
    """Records that a test begins."""
    record(_file(), Result(nodeid, STARTED))


def pytest_runtest_logreport(report: Any) -> None:
    """Records the outcome of a test's setup, call or teardown."""
    _record_report(report, wanted=report.when == "call")


def pytest_collectreport(report: Any) -> None:
    """Records files that were skipped or could not be imported."""
    _record_report(report, wanted=False)


def _record_report(report: Any, *, wanted: bool) -> None:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = getattr(report, "wasxfail", "") or reason.removeprefix("Skipped: ")
        record(_file(), Result(report.nodeid, SKIPPED, reason))
    elif report.failed:
        record(_file(), Result(report.nodeid, FAILED, _last_line(report)))
    elif wanted:
        record(_file(), Result(report.nodeid, PASSED))


def _last_line(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr) if crash is None else crash.message
    lines = [line for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else "no reason given")[:SHOWN_LETTERS]


def _file() -> Path:
    return Path(os.environ[VARIABLE])
