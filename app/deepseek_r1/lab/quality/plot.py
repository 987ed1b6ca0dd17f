"""Draws measurements as bar charts, one for each property, with the models side by side."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deepseek_r1.lab.quality.quality_errors import PlotsMissing
from deepseek_r1.lab.quality.quality_messages import Measurement
from deepseek_r1.lab.quality.report import CONFIDENCE, perplexity

_COLOURS: Final = ("#4c72b0", "#dd8452", "#55a868", "#937860")
_MIB: Final = 1 << 20


def require_plots() -> None:
    """Raise PlotsMissing if matplotlib is not installed. Call it before hours of measuring."""
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotsMissing


def draw(measured: Sequence[Measurement], labels: Sequence[str], path: Path) -> None:
    """Write a PNG file. Its labels are English because matplotlib's font has no Chinese."""
    require_plots()
    from matplotlib.figure import Figure  # noqa: PLC0415 - large, optional, and rarely used

    charts = _charts(measured)
    figure = Figure(figsize=(11, 6), layout="constrained")
    for place, (title, values, errors) in zip(figure.subplots(2, 4).flat, charts, strict=True):
        bars = place.bar(range(len(values)), values, yerr=errors, color=_COLOURS, capsize=3)
        place.bar_label(bars, fmt="%.4g", fontsize=8, padding=2)
        place.set_title(title, fontsize=9)
        place.set_xticks(range(len(labels)), labels, fontsize=7, rotation=20, ha="right")
        place.margins(y=0.18)
        for side in ("top", "right"):
            place.spines[side].set_visible(False)
    base = measured[0]
    figure.suptitle(f"{base.name}: {base.scored} tokens scored", fontsize=11)
    figure.savefig(path, format="png", dpi=120)


def _charts(
    measured: Sequence[Measurement],
) -> list[tuple[str, list[float], list[float] | None]]:
    """Returns the title, the values and half the 95 % intervals, None if unknown, of each chart."""
    scores = [perplexity(each) for each in measured]
    found = [each.divergence for each in measured]
    return [
        ("Size, MiB", [each.file_bytes / _MIB for each in measured], None),
        ("Peak memory, MiB", [each.loaded_mib for each in measured], None),
        ("Writing, tokens/s", [each.decode_tok_s for each in measured], None),
        ("Reading, tokens/s", [each.prefill_tok_s for each in measured], None),
        ("Perplexity", [value for value, _ in scores], [error for _, error in scores]),
        (
            "KL divergence, mean, nats",
            [each.mean if each else 0.0 for each in found],
            [CONFIDENCE * each.mean_error if each else 0.0 for each in found],
        ),
        ("KL divergence, 99th percentile", [each.p99 if each else 0.0 for each in found], None),
        (
            "Same first choice, %",
            [100 * each.agreement if each else 100.0 for each in found],
            [100 * CONFIDENCE * each.agreement_error if each else 0.0 for each in found],
        ),
    ]
