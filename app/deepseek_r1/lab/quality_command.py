"""The command `deepseek-r1 quality`: compares the quality, size and speed of two versions.

The table, the JSON and the picture have each number with its uncertainty.
"""

import errno
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import exp
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from rich.progress import TextColumn

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import PATH, command, option
from deepseek_r1.cli.progress import bars, print_table
from deepseek_r1.convert.errors import OutputUnwritable
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.lab.errors import PlotsMissing
from deepseek_r1.lab.quality_run import (
    DISK_LIMIT_MIB,
    MOST_SCORED,
    WINDOW,
    Divergence,
    Measurement,
    MeasurementSettings,
    OnModel,
    compare,
)

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


@command(
    "quality", tr("Compare two versions of a model on a text: quality, size, memory and speed.")
)
@click.argument("base", type=PATH, help=tr("The model to compare with, a GGUF file."))
@click.argument("other", type=PATH, help=tr("Another version of the same model."))
@option("--text", tr("A text of the kind the model will be used for, UTF-8."), PATH, required=True)
@option("--plot", tr("Write the comparison as a picture, PNG."), PATH)
@option(
    "--tokens most_scored",
    tr("The most tokens to score."),
    click.IntRange(min=16),
    default=MOST_SCORED,
)
@option(
    "--window", tr("Tokens in one window of the text."), click.IntRange(32, 8192), default=WINDOW
)
@o.threads_option
@o.budget_option
@option(
    "--disk-limit disk_limit_mib",
    tr("The most MiB that temporary files may take."),
    click.IntRange(min=1),
    default=DISK_LIMIT_MIB,
)
@option("--scratch", tr("A folder for temporary files. Default: the system's."), PATH)
@o.json_option
def quality(
    *, base: Path, other: Path, plot: Path | None, memory_budget: int, as_json: bool, **fields: Any
) -> None:
    """Compare. `fields` are those of `MeasurementSettings` with an option of their own."""
    if plot is not None:
        require_plots()
        if not plot.parent.is_dir():
            raise OutputUnwritable(path=str(plot), detail=os.strerror(errno.ENOENT))
    budget_mib = memory_budget - int(o.COMMAND_LINE_MIB)
    terms = MeasurementSettings(memory_budget_mib=budget_mib, **fields)
    with model_bar() as on_model:
        measured = compare(base, [other], terms, on_model)
    if as_json:
        console.result_json(quality_report([base, other], measured, terms.text))
    else:
        show(measured, [base.name, other.name])
    if plot is not None:
        try:
            draw(measured, [base.stem, other.stem], plot)
        except (OSError, ValueError) as error:  # a name that matplotlib takes for a formula
            raise OutputUnwritable(path=str(plot), detail=str(error)) from error


def quality_report(paths: list[Path], measured: list[Measurement], text: Path) -> dict[str, Any]:
    """Returns the JSON contract of `quality`, the base first."""
    return {
        "text": str(text),
        "window": measured[0].window,
        "scored_tokens": measured[0].scored,
        "vocabulary": measured[0].vocabulary,
        "models": [as_json(m, p) for m, p in zip(measured, paths, strict=True)],
    }


@contextmanager
def model_bar() -> Iterator[OnModel]:
    """Show a progress bar for each model on standard error if it is a terminal."""
    with bars(TextColumn("{task.percentage:>3.0f} %")) as show_bar:
        yield lambda model, done, total: show_bar(model, model.name, done, total)


def show(measured: list[Measurement], names: list[str]) -> None:
    """Print the table on standard output, with a sentence for each comparison."""
    properties = [(title, *values) for title, values in rows(measured).items()]
    print_table(("", *names), properties, numbers=True)
    margin = tr("The base's first choice is ahead by, nats")
    titles = (margin, tr("Tokens"), tr("Another first choice"), tr("Share"))
    for other in measured[1:]:
        print_table(titles, disagreements(other), numbers=True)
        console.result(verdict(measured[0], other))
    base = measured[0]
    console.note(
        tr(
            "{scored} tokens scored, in windows of {window}. ± is half of a 95 % interval.",
            scored=base.scored,
            window=base.window,
        )
    )
