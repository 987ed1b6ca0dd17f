"""`deepseek-r1 prune`: its defaults."""

from __future__ import annotations

from support.command import run


def test_the_help_says_how_much_goes_without_an_option():
    shown = " ".join(run("prune", "--help").stdout.split())
    assert "0.3, or none with --prune-layers" in shown
