"""The line below an answer on the command line."""

from __future__ import annotations

import sys

import pytest

from deepseek_r1.cli import generation_progress
from deepseek_r1.cli.generation_progress import ShortageNotifier, summary
from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.core.process_lock import LANDLOCK, SIGNALS
from deepseek_r1.host.protocol import VERSION, Handshake

STATS = GenerationStats(
    finish_reason=FinishReason.STOP, prompt_tokens=3800, completion_tokens=10, cached_tokens=2560
)


def test_what_came_from_the_disk_is_shown_where_anything_did() -> None:
    assert "from disk" not in summary(STATS)
    restored = STATS.model_copy(update={"restored_tokens": 2560})
    assert summary(restored).endswith("2,560 of 3,800 prompt tokens from disk")


@pytest.mark.parametrize(("missing", "lines"), [((LANDLOCK,), 1), ((SIGNALS,), 0), ((), 0)])
def test_a_linux_that_cannot_lock_the_engine_is_named_once(
    missing: tuple[str, ...],
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(generation_progress, "missing_parts", lambda: missing)
    notifier = ShortageNotifier()
    for pid in (1, 2):  # the engine is started again
        notifier(Handshake(version=VERSION, pid=pid, engine="none"))
    assert capsys.readouterr().err.count("Landlock") == lines
