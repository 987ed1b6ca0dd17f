"""Prunes a file for `prune` and `convert --prune`, with progress bars."""

from __future__ import annotations

from pathlib import Path

from deepseek_r1.cli.quality_command import launch, model_bar
from deepseek_r1.convert.job import ConversionProgress, ConversionRequest, ConversionResult
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import resources_dir
from deepseek_r1.lab.prune.prune_model import Pruning, prune


def calibration_text(text: Path | None) -> Path:
    """Returns the given text, or the one of the installation."""
    return text or resources_dir() / "calibration" / "calibration.txt"


def require_file(source: Path) -> None:
    """Raise WrongUsage for a folder, which cannot evaluate a text."""
    if source.is_dir():
        detail = tr("A folder cannot evaluate a text. Convert it to f16 first, then use that file.")
        raise WrongUsage(detail=detail)


def prune_file(request: ConversionRequest, pruning: Pruning) -> ConversionResult:
    """Prune with one progress bar for the text and one for the output. Raises WrongUsage."""
    require_file(request.source)
    with model_bar() as on_model:

        def on_text(done: int, total: int) -> None:
            on_model(request.source, done, total)

        def on_progress(progress: ConversionProgress) -> None:
            on_model(request.output, progress.done, progress.total)

        return prune(request, pruning, launch(), on_text, on_progress)
