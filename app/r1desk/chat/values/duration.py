"""Durations in words."""

from __future__ import annotations

from deepseek_r1.core.i18n import tr


def duration_text(seconds: float) -> str:
    """A duration as people say it: "7 s", "3 min 7 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return tr("{seconds} s", seconds=whole)
    if whole < 3600:
        return tr("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
    return tr("{hours} h {minutes} min", hours=whole // 3600, minutes=whole % 3600 // 60)
