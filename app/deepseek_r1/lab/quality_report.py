"""Formats measurements as table rows, JSON or charts, each number with its uncertainty."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any, Final

from deepseek_r1.core.i18n import tr
from deepseek_r1.lab.quality_messages import Measurement, PlotsMissing

_MIB: Final = 1 << 20
_COLOURS: Final = ("#4c72b0", "#dd8452", "#55a868", "#937860")
CONFIDENCE: Final = 1.96  # standard errors on each side of a 95 % interval of a normal distribution


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A table row: a property and its value for each model."""

    title: str
    values: tuple[str, ...]


def perplexity(measured: Measurement) -> tuple[float, float]:
    """Returns exp of the mean negative log-likelihood, and half the width of its 95 % interval."""
    value = exp(measured.nll)
    return value, value * CONFIDENCE * measured.nll_error


def rows(measured: Sequence[Measurement]) -> list[ReportRow]:
    """Returns the rows of the table, the base first."""
    return [
        ReportRow(tr("Stored as"), tuple(each.quantisation for each in measured)),
        ReportRow(tr("Size, MiB"), tuple(f"{each.file_bytes / _MIB:,.1f}" for each in measured)),
        ReportRow(tr("Peak memory, MiB"), tuple(f"{each.loaded_mib:,.0f}" for each in measured)),
        ReportRow(tr("Writing, tok/s"), tuple(f"{each.decode_tok_s:.1f}" for each in measured)),
        ReportRow(tr("Reading, tok/s"), tuple(f"{each.prefill_tok_s:.1f}" for each in measured)),
        ReportRow(tr("Perplexity"), tuple(_with_error(*perplexity(each), 3) for each in measured)),
        ReportRow(tr("KL divergence, mean"), tuple(map(_mean_divergence, measured))),
        ReportRow(tr("KL divergence, 99th percentile"), tuple(map(_p99, measured))),
        ReportRow(tr("Same first choice"), tuple(map(_agreement, measured))),
        ReportRow(tr("Right first choice"), tuple(map(_correct, measured))),
    ]


def disagreements(other: Measurement) -> list[ReportRow]:
    """Returns the rows of differing first choices, the smallest margin of the base first."""
    found = other.divergence
    if found is None:
        return []
    return [
        ReportRow(
            f"{each.least:g} – {each.most:g}" if each.most is not None else f"≥ {each.least:g}",
            (str(each.positions), str(each.differing), _percent(each.differing, each.positions)),
        )
        for each in found.by_margin
    ]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _with_error(value: float, error: float, digits: int) -> str:
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _mean_divergence(measured: Measurement) -> str:
    found = measured.divergence
    return "–" if found is None else _with_error(found.mean, CONFIDENCE * found.mean_error, 5)


def _p99(measured: Measurement) -> str:
    return "–" if measured.divergence is None else f"{measured.divergence.p99:.5f}"


def _agreement(measured: Measurement) -> str:
    found = measured.divergence
    if found is None:
        return "–"
    return f"{100 * found.agreement:.2f} ± {100 * CONFIDENCE * found.agreement_error:.2f} %"


def _correct(measured: Measurement) -> str:
    return f"{100 * measured.correct:.2f} ± {100 * CONFIDENCE * measured.correct_error:.2f} %"


def as_json(measured: Measurement, path: Path) -> dict[str, Any]:
    """Returns one model's numbers. Sizes (mb) are MiB, divergences are nats.

    An error is half the width of a 95 % interval.
    """
    value, error = perplexity(measured)
    found = measured.divergence
    return {
        "model": str(path),
        "name": measured.name,
        "precision": measured.quantisation,
        "size_mb": round(measured.file_bytes / _MIB, 2),
        "memory": {
            "peak_mb": round(measured.loaded_mib, 1),
            "measuring_peak_mb": round(measured.peak_mib, 1),
        },
        "decode_tok_s": round(measured.decode_tok_s, 2),
        "prefill_tok_s": round(measured.prefill_tok_s, 2),
        "perplexity": {"value": round(value, 5), "error": round(error, 5)},
        "correct": {
            "top1": round(measured.correct, 5),
            "error": round(CONFIDENCE * measured.correct_error, 5),
        },
        "divergence": None
        if found is None
        else {
            "mean": found.mean,
            "error": CONFIDENCE * found.mean_error,
            "p99": found.p99,
            "max": found.worst,
        },
        "agreement": None
        if found is None
        else {
            "top1": round(found.agreement, 5),
            "error": round(CONFIDENCE * found.agreement_error, 5),
            "by_margin": [each.model_dump() for each in found.by_margin],
        },
    }


def terms_as_json(base: Measurement, text: Path) -> dict[str, Any]:
    """Returns the conditions of the measurement."""
    return {
        "text": str(text),
        "window": base.window,
        "scored_tokens": base.scored,
        "vocabulary": base.vocabulary,
    }


def verdict(base: Measurement, other: Measurement) -> str:
    """Returns the comparison as a sentence."""
    found = other.divergence
    agreement = "?" if found is None else f"{100 * found.agreement:.1f}"
    accuracy = f"{100 * other.correct / base.correct:.1f}" if base.correct else "?"
    return tr(
        "{name}: {size} of the size, {speed} times the writing speed, the same first choice "
        "for {agreement} % of the tokens, {accuracy} % of the accuracy, perplexity {change}.",
        name=other.name,
        size=f"{100 * other.file_bytes / base.file_bytes:.0f} %",
        speed=f"{other.decode_tok_s / base.decode_tok_s:.2f}",
        agreement=agreement,
        accuracy=accuracy,
        change=f"{100 * (exp(other.nll - base.nll) - 1):+.1f} %",
    )


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
