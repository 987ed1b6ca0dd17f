"""The published options are taken in both spellings, by every command that plans or loads."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed_in_the_shell(shell: str):
    asked = {"COMP_WORDS": "deepseek-r1 ge", "COMP_CWORD": "ge" if shell == "fish" else "1"}
    code = "import sys; sys.argv = ['deepseek-r1']\nfrom deepseek_r1.cli import main\nmain()"
    done = run_code(code, _DEEPSEEK_R1_COMPLETE=f"{shell}_complete", **asked)
    assert "generate" in done.stdout, done.stderr
