"""A wing can be left out: the rest is imported, runs, and says what is missing."""

import pytest

from deepseek_r1.core.wings import ENTRIES, WINGS
from support.command import run_code
from support.ggml_files import tiny_gpt2

BLOCKED = "import sys; sys.modules.update({{'deepseek_r1.' + each: None for each in {wings!r}}});"
RUN = "from deepseek_r1.cli import main; sys.argv[1:] = {words!r}; main()"
IMPORT_ALL = """
import importlib, pathlib, pkgutil, deepseek_r1, r1desk
for package in (deepseek_r1, r1desk):
    for each in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        skipped = (*{wings!r}, "__main__")
        file = each.name.rpartition(".")[2] + ".py"
        is_python = pathlib.Path(each.module_finder.path, file).is_file()
        if each.name.split(".")[1] not in skipped and (each.ispkg or is_python):
            importlib.import_module(each.name)
"""


def commands_of(wing: str) -> set[str]:
    """Those of the wing, and of the wings that need it."""
    gone = [each for each, needed in WINGS.items() if wing in (each, *needed)]
    return {
        name
        for name, entry in ENTRIES.items()
        if entry.endswith(f"{name}_command:{name}") and entry.split(".")[1] in gone
    }


def without(wings: tuple[str, ...], *words: str):
    code = BLOCKED.format(wings=wings) + RUN.format(words=list(words))
    return run_code(code)


@pytest.mark.integration
def test_all_other_modules_are_imported_without_any_wing():
    done = run_code((BLOCKED + IMPORT_ALL).format(wings=tuple(WINGS)), QT_QPA_PLATFORM="offscreen")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.integration
@pytest.mark.parametrize("wing", WINGS)
def test_without_a_wing_the_other_commands_run(wing, starter):
    help_text = without((wing,), "--help").stdout
    missing = commands_of(wing)
    assert not any(f"\n  {name} " in help_text for name in missing)
    assert "\n  plan " in help_text
    assert "MiB" in without((wing,), "plan", str(starter)).stdout
    for name in sorted(missing)[:1]:
        refused = without((wing,), name)
        assert refused.returncode == 2
        assert f"without deepseek_r1.{wing}" in refused.stderr


@pytest.mark.integration
def test_an_answer_needs_no_wing(starter):
    done = without(tuple(WINGS), "generate", "Hello", "--model", str(starter), "--max-tokens", "4")
    assert (done.returncode, bool(done.stdout.strip())) == (0, True)


def test_an_old_file_is_refused_by_name_without_its_wing(tmp_path):
    refused = without(("legacy",), "plan", str(tiny_gpt2(tmp_path / "tiny.bin")))
    assert refused.returncode == 3
    assert "made without deepseek_r1.legacy" in refused.stderr
