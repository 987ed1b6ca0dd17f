"""The panel's rows by the names of their settings."""

from __future__ import annotations

from r1desk.performance import PerformancePanel
from r1desk.performance.rows import NumberRow


def number(panel: PerformancePanel, key: str) -> NumberRow:
    row = (panel.load.rows | panel.sampling.rows)[key]
    assert isinstance(row, NumberRow)
    return row
