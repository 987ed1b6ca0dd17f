"""The command `deepseek-r1 convert`: converts a model to a GGUF file."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import DownloadColumn, TransferSpeedColumn

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import INTERRUPTED, PATH, command, option
from deepseek_r1.cli.progress import bars
from deepseek_r1.convert.errors import OutputUnwritable
from deepseek_r1.convert.job import ConversionRequest, ConversionResult, ConversionStage, OnProgress
from deepseek_r1.convert.job import convert as convert_model
from deepseek_r1.convert.precision import Precision, precision_named
from deepseek_r1.core import wings
from deepseek_r1.core.errors import ModelFileMissing, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import converted_models_dir
from deepseek_r1.core.paths import make_private_dir
from deepseek_r1.core.units import format_mib, format_size

layers_option = option(
    "--prune-layers", tr("How many whole blocks to remove."), click.IntRange(min=0), default=0
)
text_option = option(
    "--text", tr("A calibration text in UTF-8. Default: a general one of the installation."), PATH
)


@command(
    "convert",
    tr("Write a model as a GGUF file of another precision. An interrupted run is continued."),
)
@click.argument(
    "source", type=PATH, required=False, help=tr("A GGUF file, or a folder from Hugging Face.")
)
@click.argument("target", type=PATH, required=False, help=tr("The GGUF file to write."))
@option("--input -i input_path", tr("The same as the first argument."), PATH)
@option("--output -o output_path", tr("The same as the second argument."), PATH)
@o.precision_option
@option(
    "--imatrix-text",
    tr("A calibration text that shows which weights matter; the source must be a GGUF file."),
    PATH,
)
@option(
    "--prune",
    tr("The share of feed-forward channels to remove, 0.30 for instance."),
    click.FloatRange(0.01, 0.9),
)
@layers_option
@text_option
@o.budget_option
@option("--threads", tr("Threads for quantising. 0: all cores."), click.IntRange(0, 512), default=0)
@o.force_option
@o.json_option
def convert(
    *,
    source: Path | None,
    target: Path | None,
    input_path: Path | None,
    output_path: Path | None,
    precision: str,
    imatrix_text: Path | None,
    prune: float | None,
    prune_layers: int,
    text: Path | None,
    memory_budget: int,
    threads: int,
    force: bool,
    as_json: bool,
) -> None:
    request = ConversionRequest(
        source=_one(source, input_path, "--input"),
        output=_one(target, output_path, "--output"),
        precision=precision_named(precision),
        memory_budget_mib=memory_budget,
        force=force,
        threads=threads,
    )
    prunes = bool(prune or prune_layers)
    if prunes and imatrix_text is not None:  # the matrix would include pruned columns
        raise WrongUsage(detail=tr("--imatrix-text and --prune do not go together."))
    if text is not None and not prunes:
        detail = tr("--text belongs to --prune; the text for quantising is --imatrix-text.")
        raise WrongUsage(detail=detail)
    try:
        if imatrix_text is not None:
            request = wings.entry("with_importance")(request, imatrix_text)
        if prunes:
            converted = wings.entry("prune_file")(request, prune or 0.0, text, prune_layers)
        else:
            with conversion_bar() as on_progress:
                converted = convert_model(request, on_progress)
    except KeyboardInterrupt:
        console.note(tr("Stopped. Run the same command again to continue."))
        raise SystemExit(INTERRUPTED) from None
    show_converted(request, converted, as_json=as_json)


def show_converted(
    request: ConversionRequest, converted: ConversionResult, *, as_json: bool
) -> None:
    """Print the remarks on standard error and the result on standard output."""
    for remark in converted.remarks:
        console.note(remark)
    if as_json:
        console.result_json(convert_report(request, converted))
    else:
        _show(converted)


def convert_report(request: ConversionRequest, converted: ConversionResult) -> dict[str, Any]:
    """Returns the JSON contract of `convert`."""
    return {
        "output": str(converted.path),
        "bytes": converted.nbytes,
        "sha256": converted.sha256,
        "precision": request.precision.name.lower(),
        "architecture": converted.architecture,
        "tensors": converted.tensors,
        "types": converted.kinds,
        "source": str(request.source),
        "source_bytes": converted.source_bytes,
        "source_sha256": converted.source_sha256,
        "resumed_bytes": converted.resumed_bytes,
        "memory": {"budget_mb": request.memory_budget_mib, "peak_mb": round(converted.peak_mib, 2)},
        "wall_s": round(converted.wall_s, 3),
        "remarks": list(converted.remarks),
    }


def _one(argument: Path | None, option: Path | None, name: str) -> Path:
    """Returns the path that was given as an argument or as an option."""
    if argument is not None and option is not None:
        detail = tr("{name} is given twice: {a} and {b}.", name=name, a=argument, b=option)
        raise WrongUsage(detail=detail)
    path = argument or option
    if path is None:
        raise WrongUsage(detail=tr("{name} is missing.", name=name))
    return path


def converted_models(source: Path, precisions: Sequence[str], budget_mib: int) -> list[Path]:
    """Return a model in each of these precisions, converted into the profile where it is not there.

    The names are checked first. Raises WrongUsage, `ConversionRefused`, `ModelRefused`.
    """
    wanted = [precision_named(each) for each in precisions]
    return [_converted(source, each, budget_mib) for each in wanted]


def _converted(source: Path, precision: Precision, budget_mib: int) -> Path:
    if not source.exists():
        raise ModelFileMissing(path=str(source))
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    facts = [(str(each), (found := each.stat()).st_size, found.st_mtime_ns) for each in files]
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    folder = converted_models_dir()
    try:
        make_private_dir(folder)
    except OSError as error:
        raise OutputUnwritable(path=str(folder), detail=error.strerror or "") from error
    output = folder / f"{source.stem}-{key}-{precision.name.lower()}.gguf"
    if not output.exists():
        console.note(tr("Converting into {path}", path=output))
        with conversion_bar() as on_progress:
            convert_model(ConversionRequest(source, output, precision, budget_mib), on_progress)
    return output


@contextmanager
def conversion_bar() -> Iterator[OnProgress]:
    """Show a progress bar on standard error if it is a terminal."""
    with bars(DownloadColumn(binary_units=True), TransferSpeedColumn()) as show_bar:
        yield lambda stage, done, total: show_bar(stage, _stage_text(stage), done, total)


def _stage_text(stage: ConversionStage) -> str:
    return {
        ConversionStage.CHECKING: tr("Reading the source"),
        ConversionStage.RESUMING: tr("Reading the finished part"),
        ConversionStage.WRITING: tr("Writing"),
    }[stage]


def _show(converted: ConversionResult) -> None:
    console.result(
        tr(
            "{path}: {size}, from {source}",
            path=converted.path,
            size=format_size(converted.nbytes),
            source=format_size(converted.source_bytes),
        )
    )
    kinds = ", ".join(f"{count} {name}" for name, count in converted.kinds.items())
    console.result(tr("{n} tensors: {kinds}", n=converted.tensors, kinds=kinds))
    console.result(f"sha256 {converted.sha256}")
    console.aside(
        tr(
            "{seconds} s, at most {peak} of memory",
            seconds=f"{converted.wall_s:.1f}",
            peak=format_mib(converted.peak_mib),
        )
    )
