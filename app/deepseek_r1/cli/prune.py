"""`deepseek-r1 prune`: a smaller model with fewer feed-forward channels, and what that cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepseek_r1.cli import options as o
from deepseek_r1.cli import output
from deepseek_r1.cli.convert import convert_report
from deepseek_r1.cli.quality import Text, launch, model_bar
from deepseek_r1.convert.job import Progress, Wish
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.convert.prune import Pruning
from deepseek_r1.convert.prune import prune as prune_model
from deepseek_r1.core.words import tr

_MIB = 1 << 20


def prune(
    source: Annotated[Path, typer.Argument(help=tr("A GGUF file of a dense model."))],
    target: Annotated[Path, typer.Argument(help=tr("The GGUF file to write."))],
    *,
    text: Text,
    share: Annotated[
        float,
        typer.Option("--prune", min=0.01, max=0.9, help=tr("The share of channels to remove.")),
    ] = 0.3,
    compensate: Annotated[
        bool, typer.Option(help=tr("Fit the remaining weights to the calibration text."))
    ] = True,
    precision: Annotated[
        str,
        typer.Option(
            "--precision", "-p", help=tr("f32, f16, bf16, int8, mixed, q4_k_m or a type of ggml.")
        ),
    ] = "int8",
    memory_budget: o.MemoryBudget = o.LOAD.memory_budget,
    threads: o.Threads = o.LOAD.threads,
    force: Annotated[
        bool, typer.Option("--force", help=tr("Replace the output if it exists."))
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Remove the least important feed-forward channels. Loses quality: compare before use."""
    wish = Wish(source, target, precision_named(precision), memory_budget, force, threads)
    pruning = Pruning(share, text, compensate)
    with model_bar() as on_model:

        def on_progress(progress: Progress) -> None:
            on_model(target, progress.done, progress.total)

        converted = prune_model(
            wish, pruning, launch(), lambda done, total: on_model(source, done, total), on_progress
        )
    for remark in converted.remarks:
        output.note(remark)
    if as_json:
        output.result_json(convert_report(wish, converted))
        return
    output.result(
        tr(
            "{path}: {mib} MiB, from {source_mib} MiB",
            path=converted.path,
            mib=f"{converted.nbytes / _MIB:,.1f}",
            source_mib=f"{converted.source_bytes / _MIB:,.1f}",
        )
    )
    output.result(f"sha256 {converted.sha256}")
    output.note(tr("See what it cost: deepseek-r1 quality SOURCE OUTPUT --text ANOTHER_TEXT"))
