"""The line below an answer on the command line."""

from __future__ import annotations

from deepseek_r1.cli.generation_progress import summary
from deepseek_r1.core.events import FinishReason, GenerationStats

STATS = GenerationStats(
    finish_reason=FinishReason.STOP, prompt_tokens=3800, completion_tokens=10, cached_tokens=2560
)


def test_what_came_from_the_disk_is_shown_where_anything_did() -> None:
    assert "from disk" not in summary(STATS)
    restored = STATS.model_copy(update={"restored_tokens": 2560})
    assert summary(restored).endswith("2,560 of 3,800 prompt tokens from disk")
