"""The panel's rows by the names of their settings."""

from __future__ import annotations

from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.performance.widgets.setting_rows import NumberRow


def number(panel: PerformancePanel, key: str) -> NumberRow:
    row = (panel.load.rows | panel.sampling.rows)[key]
    assert isinstance(row, NumberRow)
    return row
