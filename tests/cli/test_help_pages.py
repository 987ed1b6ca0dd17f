from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.cli.command import width_of, wrapped
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.settings import LoadSettings
from support.command import run, run_here

COMMANDS = [["generate"], ["chat"], ["plan"], ["models", "pull"], ["convert"], ["quality"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_on_a_narrow_terminal_is_whole(command: list[str]):
    assert_whole(run_here(*command, "--help", COLUMNS="80").stdout)


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_chinese_help_on_a_narrow_terminal_is_whole(command: list[str]):
    assert_whole(run(*command, "--help", LANG="zh_CN.UTF-8", COLUMNS="80").stdout)


def assert_whole(shown: str) -> None:
    assert shown
    assert "…" not in shown
    assert all(width_of(line) <= 80 for line in shown.splitlines())


def test_a_chinese_sentence_is_read_to_its_end(monkeypatch):
    shown = "".join(run("plan", "--help", LANG="zh_CN.UTF-8", COLUMNS="80").stdout.split())
    use_language("zh_CN")
    try:
        said = tr(LoadSettings.info("cache_strategy").help)
    finally:
        use_language("en")
    assert "".join(said.split()) in shown
    assert "选项" in shown
    assert "Showthismessage" not in shown


def test_the_list_of_commands_says_what_each_is_for():
    shown = " ".join(run_here("models", "--help", COLUMNS="80").stdout.split())
    assert "Read models completely and compare them with their checksums. Exit status 3 if" in shown


@given(st.text(), st.integers(10, 60))
def test_wrapping_loses_nothing(text: str, width: int):
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.lists(st.text("。一二三abc", max_size=5).map(lambda t: t.lstrip("。"))), st.just(20))
def test_lines_keep_to_the_width(words: list[str], width: int):
    assert all(width_of(line) <= width + 8 for line in wrapped(" ".join(words), width))


def test_models_are_listed_with_whole_paths(starter):
    shown = run_here("models", "list", COLUMNS="40").stdout
    assert str(starter) in shown


def test_the_help_says_how_much_goes_without_an_option():
    shown = " ".join(run_here("prune", "--help").stdout.split())
    assert "0.3, or none with --prune-layers" in shown


def test_options_of_a_fit_that_is_gone_are_taken_and_named(tmp_path: Path):
    gone = ["--no-compensate", "--scratch", "x", "--disk-limit", "5"]
    done = run_here("prune", str(tmp_path / "none.gguf"), str(tmp_path / "new.gguf"), *gone)
    assert all(name in done.stderr for name in ("--compensate", "--scratch", "--disk-limit"))
    assert "No such option" not in done.stderr
