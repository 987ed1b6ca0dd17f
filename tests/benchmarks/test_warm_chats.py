"""The commands that measure reopened chats run, in a short form, and keep what no speed decides."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FOLDER = Path(__file__).parent


@pytest.fixture
def model(shallow_starter: Path, tmp_path: Path) -> Path:
    """A copy: the commands make their folders beside the model's file."""
    return Path(shutil.copy(shallow_starter, tmp_path / "starter.gguf"))


def printed(command: str, *arguments: str | Path) -> dict[str, Any]:
    script = [sys.executable, FOLDER / command, *arguments]
    run = subprocess.run(script, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def test_a_reopened_chat_computes_the_new_message_alone(model: Path) -> None:
    report = printed(
        "bench_warm_chats.py", model, "--tokens", "600", "--thinking", "4", "--repeats", "1",
        "--budget", "700", "--context", "2048",
    )  # fmt: skip
    message = report["never closed"]["prompt"] - report["never closed"]["cached"]
    assert 0 < message < 20
    for case in ("reopened", "reopened, sent at once", "follow-up, prepared"):
        assert report[case]["prompt"] - report[case]["cached"] == message
    assert report["read again"]["cached"] == 0
    assert report["goals"]["tokens computed in the prepared follow-up"]["met"]


def test_ten_chats_in_turn_stay_within_memory_and_disk(model: Path) -> None:
    report = printed(
        "soak_ten_chats.py", model, "--tokens", "420", "--minutes", "0",
        "--budget", "700", "--context", "1024", "--disk", "6",
    )  # fmt: skip
    assert report["visits"] == 10
    assert report["within"]
    assert 0 < report["disk_mib"]["most"] <= 6 < report["written_mib"]


def test_killed_processes_and_damaged_segments_give_no_wrong_answer() -> None:
    report = printed("soak_prompt_cache.py", "--rounds", "2", "--segments", "12")
    assert report["rounds"] == 2
    assert report["damaged_one_by_one"]["segments"] == 12
    assert report["wrong_answers"] == report["over_budget"] == 0
