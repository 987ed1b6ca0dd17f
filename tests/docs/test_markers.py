"""The markers of the tests are few, and CONTRIBUTING.md says what each decides."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTEST_OWN = {"filterwarnings", "parametrize", "skip", "skipif", "timeout", "usefixtures", "xfail"}


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    markers = project["tool"]["pytest"]["ini_options"]["markers"]
    return {each.partition(":")[0] for each in markers}


def test_every_marker_stands_in_the_table() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| marker |")[1]
    table = page.partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == declared()


def test_no_test_has_another_marker() -> None:
    used = {
        (path.name, name)
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"pytest\.mark\.([a-z]+)\b", path.read_text(encoding="utf-8"))
    }
    assert {each for each in used if each[1] not in declared() | PYTEST_OWN} == set()


def test_a_quiet_test_says_so_in_its_file() -> None:
    """`installer/from_source.py` finds quiet tests by their files."""
    others = [each for each in (ROOT / "tests").rglob("*.py") if not each.name.startswith("test_")]
    assert [each.name for each in others if "mark.quiet" in each.read_text(encoding="utf-8")] == []
