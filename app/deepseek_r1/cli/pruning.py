"""What `prune` and `convert --prune` share: the options' meaning, and bars while it works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepseek_r1.cli.quality import launch, model_bar
from deepseek_r1.convert.job import Converted, Progress, Wish
from deepseek_r1.convert.prune import Pruning, prune
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.paths import resources_dir
from deepseek_r1.core.words import tr

Share = Annotated[
    float | None,
    typer.Option(
        "--prune",
        min=0.01,
        max=0.9,
        help=tr("The share of feed-forward channels to remove, 0.30 for instance."),
    ),
]
Layers = Annotated[
    int,
    typer.Option("--prune-layers", min=0, help=tr("How many whole blocks to remove.")),
]
CalibrationText = Annotated[
    Path | None,
    typer.Option(
        "--text",
        help=tr("A text that shows what matters, UTF-8. Default: a general one that came along."),
    ),
]


def calibration_text(wanted: Path | None) -> Path:
    """The text asked for, or the one of the installation."""
    return wanted or resources_dir() / "calibration" / "calibration.txt"


def require_file(source: Path) -> None:
    """A source that can read a text. Raises WrongUsage for a folder."""
    if source.is_dir():
        detail = tr("A folder cannot read a text. Convert it to f16 first, then that file.")
        raise WrongUsage(detail=detail)


def prune_file(wish: Wish, pruning: Pruning) -> Converted:
    """Prune with a bar for the text and one for the output. Raises WrongUsage for a folder."""
    require_file(wish.source)
    with model_bar() as on_model:

        def on_text(done: int, total: int) -> None:
            on_model(wish.source, done, total)

        def on_progress(progress: Progress) -> None:
            on_model(wish.output, progress.done, progress.total)

        return prune(wish, pruning, launch(), on_text, on_progress)
