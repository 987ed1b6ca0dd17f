"""The results of tests under Wine: what survives an interpreter that ends, and their table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WINE = ROOT / "installer" / "windows" / "wine"
sys.path.insert(0, str(WINE))
import wine_results
from wine_results import FAILED, PASSED, SKIPPED, STARTED, Result

TESTS = """
import os
import pytest

def test_of_one_thing():
    pass

@pytest.mark.parametrize("name", ["a: b", "[c]"])
def test_of_names(name):
    pass

@pytest.mark.skip(reason="no such drive")
def test_of_a_drive():
    pass

def test_that_fails():
    assert 1 == 2

@pytest.fixture
def broken():
    yield
    raise OSError("the file is open")

def test_whose_end_fails(broken):
    pass

def test_that_ends_the_interpreter():
    os._exit(1)

def test_afterwards():
    pass
"""


@pytest.fixture
def run(tmp_path: Path):
    tests, file = tmp_path / "test_it.py", tmp_path / "results.jsonl"
    tests.write_text(TESTS, encoding="utf-8")
    options = ["-q", "-p", "wine_results", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]

    def run_once() -> dict[str, Result]:
        subprocess.run(
            [sys.executable, "-m", "pytest", "-c", os.devnull, *options, str(tests)],
            env=os.environ | {"PYTHONPATH": str(WINE), wine_results.VARIABLE: str(file)},
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        found = wine_results.results(file)
        return {test.rpartition("::")[2]: result for test, result in found.items()}

    return run_once


def test_each_result_is_there_although_the_interpreter_ended(run):
    found = run()
    assert found["test_of_one_thing"].outcome == PASSED
    assert found["test_of_names[a: b]"].outcome == PASSED
    assert (found["test_of_a_drive"].outcome, found["test_of_a_drive"].reason) == (
        SKIPPED,
        "no such drive",
    )
    assert found["test_that_fails"].outcome == FAILED
    assert "1 == 2" in found["test_that_fails"].reason
    assert found["test_whose_end_fails"].outcome == FAILED
    assert "the file is open" in found["test_whose_end_fails"].reason
    assert found["test_that_ends_the_interpreter"].outcome == STARTED
    assert "test_afterwards" not in found


def test_the_next_run_takes_the_tests_without_a_result(run):
    run()
    found = run()
    assert found["test_afterwards"].outcome == PASSED
    assert found["test_that_ends_the_interpreter"].outcome == STARTED  # it is not run again


def test_a_test_that_wine_cannot_run_is_skipped_with_the_reason(tmp_path, monkeypatch):
    listed = tmp_path / "not_on_wine.txt"
    listed.write_text("# comment\ntests/a.py::test_b[*: Wine's clock is coarse\n", encoding="utf-8")
    monkeypatch.setattr(wine_results, "NOT_ON_WINE", listed)
    assert wine_results.not_on_wine("tests/a.py::test_b[1]") == "Wine's clock is coarse"
    assert wine_results.not_on_wine("tests/a.py::test_b") == ""


def test_the_list_of_what_wine_cannot_run_names_tests_that_exist():
    for line in (WINE / "not_on_wine.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern, _, reason = line.partition(": ")
            file, *_classes, name = pattern.split("::")
            assert reason
            assert f"def {name.partition('[')[0].rstrip('*')}" in (ROOT / file).read_text("utf-8")


def test_the_table_counts_each_part_and_names_what_failed():
    parts = {
        "store": [
            Result("tests/store/a", PASSED),
            Result("tests/store/b", SKIPPED, "no drive"),
            Result("tests/store/c", FAILED, "assert 1 == 2"),
        ],
        "host": [Result("tests/host/d", PASSED)],
    }
    text = wine_results.table(parts)
    assert "| store | 1 | 1 | 1 |" in text
    assert "| host | 1 | 0 | 0 |" in text
    assert "| all | 2 | 1 | 1 |" in text
    assert "   1 no drive" in text
    assert "tests/store/c: assert 1 == 2" in text
