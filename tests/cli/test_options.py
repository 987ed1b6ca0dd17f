"""The published options and switches are taken in both spellings, with the values they may have."""

import json

import pytest

from deepseek_r1.cli.command import with_values_named
from deepseek_r1.cli.generate_command import generate
from deepseek_r1.core.errors import WrongUsage
from support.command import run, run_code, run_here

PUBLISHED = {
    "memory_budget": ["512"],
    "context_length": ["512"],
    "thread_count": ["2"],
    "batch_size": ["2"],
    "cache_strategy": ["lru"],
    "chunk_size": ["512"],
    "swap_enabled": [],
    "enable_chunk_loading": [],
}
COMMANDS = {"plan": [], "generate": ["--max-tokens", "1", "Hi"], "chat": []}


@pytest.mark.integration
@pytest.mark.usefixtures("shallow_installation")
@pytest.mark.parametrize("spelling", ["_", "-"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_every_published_option(command: str, spelling: str):
    options = []
    for name, values in PUBLISHED.items():
        options += [f"--{name.replace('_', spelling)}", *values]
    done = run_here(command, *options, *COMMANDS[command])
    assert done.returncode == 0, done.stderr


def test_help_speaks_chinese_where_the_system_does():
    shown = run("--help", LANG="zh_CN.UTF-8").stdout
    for line in shown.splitlines():
        words = line.strip("│ ").split()
        if words[:1] and words[0] in ("generate", "chat", "plan", "models", "doctor"):
            assert any(letter >= "\u4e00" for letter in line), line


@pytest.mark.parametrize(
    ("here", "there"),
    [("LANG=zh_TW.UTF-8", "LANG=zh_CN.UTF-8"), ("LANGUAGE=en:zh_CN", "LANG=en_GB.UTF-8")],
)
def test_a_help_is_in_one_language(here: str, there: str):
    shown, whole = (run("plan", "--help", **dict([each.split("=")])) for each in (here, there))
    assert shown.stdout == whole.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed_in_the_shell(shell: str):
    asked = {"COMP_WORDS": "deepseek-r1 ge", "COMP_CWORD": "ge" if shell == "fish" else "1"}
    code = "import sys; sys.argv = ['deepseek-r1']\nfrom deepseek_r1.cli import main\nmain()"
    done = run_code(code, _DEEPSEEK_R1_COMPLETE=f"{shell}_complete", **asked)
    assert "generate" in done.stdout, done.stderr


ON, OFF = "--swap-enabled", "--no-swap-enabled"


def read(line: str) -> list[str]:
    """The words of a `generate` as click gets them."""
    return with_values_named(generate.params, line.split())


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("--swap_enabled", [ON]),
        ("--swap_enabled true", [ON]),
        ("--swap-enabled=True", [ON]),
        ("--swap_enabled on Hello", [ON, "Hello"]),
        ("--swap_enabled false", [OFF]),
        ("--swap_enabled=0", [OFF]),
        ("--swap_enabled 1 --swap_enabled no", [ON, OFF]),
        ("--no_swap_enabled", ["--no_swap_enabled"]),
        ("--swap_enabled --enable_chunk_loading off", [ON, "--no-chunk-loading"]),
    ],
)
def test_a_value_is_the_switchs(line: str, means: list[str]):
    assert read(line) == means


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("--swap_enabled Why?", [ON, "Why?"]),
        ("Why? --swap_enabled", ["Why?", ON]),
        ("true --swap_enabled", ["true", ON]),
        ("--swap_enabled -- true", [ON, "--", "true"]),
        ("-- --swap_enabled true", ["--", "--swap_enabled", "true"]),
        ("--system --swap_enabled true", ["--system", "--swap_enabled", "true"]),
        ("--system=x --swap_enabled true", ["--system=x", ON]),
        ("--json true", ["--json", "true"]),
        ("Hello --system", ["Hello", "--system"]),
    ],
)
def test_any_other_word_stays_what_it_is(line: str, means: list[str]):
    assert read(line) == means


def test_a_word_that_is_no_value_is_named():
    with pytest.raises(WrongUsage, match="maybe"):
        read("--swap_enabled=maybe")


@pytest.mark.integration
@pytest.mark.parametrize(("value", "streams"), [("true", True), ("false", False)])
def test_the_commands_heed_it(value: str, streams: bool):
    done = run_here("plan", "--memory_budget", "256", "--swap_enabled", value, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["streams"] is streams
