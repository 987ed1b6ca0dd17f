"""A switch takes its value as a word or none, and no word that cannot be its value."""

from __future__ import annotations

import json

import pytest

from deepseek_r1.cli.command import with_values_named
from deepseek_r1.cli.generate_command import generate
from deepseek_r1.core.errors import WrongUsage
from support.command import run_here

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
