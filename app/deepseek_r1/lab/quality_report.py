"""Formats measurements as table rows, JSON or charts, each number with its uncertainty."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from math import exp
from pathlib import Path
from typing import Any, Final, NamedTuple

from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.lab.errors import PlotsMissing
from deepseek_r1.lab.quality_run import Divergence, Measurement

_MIB: Final = 1 << 20
_COLOURS: Final = ("#4c72b0", "#dd8452", "#55a868", "#937860")
CONFIDENCE: Final = 1.96  # standard errors on each side of a 95 % interval of a normal distribution

_SAME: Final = Divergence(  # the base's from itself
    mean=0, mean_error=0, p99=0, worst=0, agreement=1, agreement_error=0, by_margin=()
)


class Property(NamedTuple):
    """A row of the table, and a chart. With `compares` it is one of a model beside the base."""

    title: str
    form: str
    number: Callable[[Measurement, Divergence], tuple[float, float | None]]  # its standard error
    compares: bool = False
    scale: int = 1  # 100: a share, shown in %

    @property
    def unit(self) -> str:
        return " %" if self.scale == 100 else ""

    def interval(self, measured: Measurement) -> tuple[float, float | None]:
        """Returns the value, and half the width of its 95 % interval if that is known."""
        value, error = self.number(measured, measured.divergence or _SAME)
        return self.scale * value, None if error is None else self.scale * CONFIDENCE * error


def perplexity(measured: Measurement) -> tuple[float, float]:
    """Returns exp of the mean negative log-likelihood, and its standard error."""
    return exp(measured.nll), exp(measured.nll) * measured.nll_error


_PROPERTIES: Final = (
    Property(N_("Size, MiB"), ",.1f", lambda m, _: (m.file_bytes / _MIB, None)),
    Property(N_("Peak memory, MiB"), ",.0f", lambda m, _: (m.loaded_mib, None)),
    Property(N_("Writing, tok/s"), ".1f", lambda m, _: (m.decode_tok_s, None)),
    Property(N_("Reading, tok/s"), ".1f", lambda m, _: (m.prefill_tok_s, None)),
    Property(N_("Perplexity"), ".3f", lambda m, _: perplexity(m)),
    Property(N_("KL divergence, mean"), ".5f", lambda _, d: (d.mean, d.mean_error), True),
    Property(N_("KL divergence, 99th percentile"), ".5f", lambda _, d: (d.p99, None), True),
    Property(
        N_("Same first choice"), ".2f", lambda _, d: (d.agreement, d.agreement_error), True, 100
    ),
    Property(N_("Right first choice"), ".2f", lambda m, _: (m.correct, m.correct_error), scale=100),
)
_CHARTS: Final = _PROPERTIES[:-1]  # two rows of four


def rows(measured: Sequence[Measurement]) -> dict[str, list[str]]:
    """Returns the table's rows by their titles, with a value for each model, the base first."""
    return {tr("Stored as"): [each.quantisation for each in measured]} | {
        tr(line.title): [_text(line, each) for each in measured] for line in _PROPERTIES
    }


def _text(line: Property, measured: Measurement) -> str:
    if line.compares and measured.divergence is None:
        return "–"
    known = [each for each in line.interval(measured) if each is not None]
    return " ± ".join(f"{each:{line.form}}" for each in known) + line.unit


def disagreements(other: Measurement) -> Iterator[tuple[str, ...]]:
    """Yields rows of differing first choices, the smallest margin of the base first."""
    for each in other.divergence.by_margin if other.divergence else ():
        margin = f"≥ {each.least:g}" if each.most is None else f"{each.least:g} – {each.most:g}"
        share = f"{100 * each.differing / each.positions:.1f} %" if each.positions else "–"
        yield margin, str(each.positions), str(each.differing), share


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
        "perplexity": {"value": round(value, 5), "error": round(CONFIDENCE * error, 5)},
        "correct": {
            "top1": round(measured.correct, 5),
            "error": round(CONFIDENCE * measured.correct_error, 5),
        },
        "divergence": found
        and {
            "mean": found.mean,
            "error": CONFIDENCE * found.mean_error,
            "p99": found.p99,
            "max": found.worst,
        },
        "agreement": found
        and {
            "top1": round(found.agreement, 5),
            "error": round(CONFIDENCE * found.agreement_error, 5),
            "by_margin": [each.model_dump() for each in found.by_margin],
        },
    }


def verdict(base: Measurement, other: Measurement) -> str:
    """Returns the comparison as a sentence."""
    found = other.divergence or _SAME
    accuracy = f"{100 * other.correct / base.correct:.1f}" if base.correct else "?"
    return tr(
        "{name}: {size} of the size, {speed} times the writing speed, the same first choice "
        "for {agreement} % of the tokens, {accuracy} % of the accuracy, perplexity {change}.",
        name=other.name,
        size=f"{100 * other.file_bytes / base.file_bytes:.0f} %",
        speed=f"{other.decode_tok_s / base.decode_tok_s:.2f}",
        agreement=f"{100 * found.agreement:.1f}",
        accuracy=accuracy,
        change=f"{100 * (exp(other.nll - base.nll) - 1):+.1f} %",
    )


def require_plots() -> None:
    """Raise PlotsMissing if matplotlib is not installed. Call it before hours of measuring."""
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotsMissing


def draw(measured: Sequence[Measurement], labels: Sequence[str], path: Path) -> None:
    """Write a PNG file. Its labels are English because matplotlib's font has no Chinese."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - large, optional, and rarely used

    figure = Figure(figsize=(11, 6), layout="constrained")
    for place, line in zip(figure.subplots(2, 4).flat, _CHARTS, strict=True):
        values, errors = zip(*map(line.interval, measured), strict=True)
        known = None if None in errors else errors
        bars = place.bar(range(len(values)), values, yerr=known, color=_COLOURS, capsize=3)
        place.bar_label(bars, fmt="%.4g", fontsize=8, padding=2)
        place.set_title(line.title + line.unit, fontsize=9)
        place.set_xticks(range(len(labels)), labels, fontsize=7, rotation=20, ha="right")
        place.margins(y=0.18)
        place.spines[["top", "right"]].set_visible(False)
    base = measured[0]
    figure.suptitle(f"{base.name}: {base.scored} tokens scored", fontsize=11)
    figure.savefig(path, format="png", dpi=120)
