"""Runs the real command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.patience import PATIENCE_S

SOURCE = Path(__file__).resolve().parents[2] / "app"
COMMAND = [sys.executable, "-m", "deepseek_r1.cli"]


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8", "COLUMNS": "200", **extra}


def run(*args: str | Path, text: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """The finished command; its output as text."""
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        input=text,
        env=environment(**env),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S * 4,
        check=False,
    )


def run_code(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A finished interpreter that ran `code`, with our packages to import."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**env),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S * 4,
        check=False,
    )


def start(*args: str | Path) -> subprocess.Popen[str]:
    """The command, running, with pipes."""
    return subprocess.Popen(
        [*COMMAND, *map(str, args)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
