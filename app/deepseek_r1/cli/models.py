"""`deepseek-r1 models`: the model files on this computer, and how they come and go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deepseek_r1.catalogue.installed import model_files
from deepseek_r1.catalogue.keeping import Verdict, Verified, find_model, remove, verify
from deepseek_r1.catalogue.models import known_models
from deepseek_r1.catalogue.names import files_of
from deepseek_r1.cli import options as o
from deepseek_r1.cli import output, pull
from deepseek_r1.cli.help_pages import Command, Group
from deepseek_r1.cli.progress import file_progress
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.paths import starter_model, user_models_dir
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.memory.plan import ProcessShare, plan

app = typer.Typer(
    help=tr("The models on this computer."),
    no_args_is_help=True,
    cls=Group,
    rich_markup_mode=None,
)
MIB = 1 << 20
_WHOLE = 4096  # columns; more than any path
_CHANGED = 3  # the exit code of a refused model

app.command(
    "pull",
    cls=Command,
    help=tr("Download a model into the models' folder; a download that was cut goes on."),
)(pull.pull_model)
app.command(
    "import",
    cls=Command,
    help=tr("Take a model file of this computer into the models' folder, after checking it."),
)(pull.import_file)


@app.command(
    "list",
    cls=Command,
    help=tr("List the models that can be used, with what each needs at the default settings."),
)
def list_models(
    available: Annotated[
        bool, typer.Option("--available", help=tr("List the models that can be downloaded."))
    ] = False,
    as_json: o.Json = False,
) -> None:
    """List the models that can be used, with what each needs at the default settings."""
    rows = _available() if available else [_describe(path) for path in _files()]
    if as_json:
        output.result_json({"models": rows})
        return
    last = tr("To download") if available else tr("File")
    table = Table(box=None, pad_edge=False)
    for title in (tr("Model"), tr("Type"), tr("Size"), tr("Needs")):
        table.add_column(title)
    table.add_column(last)
    for row in rows:
        needs = row["error"] or f"{row['needs_mb']:,.0f} MiB"
        table.add_row(row["name"], row["quantisation"], f"{row['mb']:,.0f} MiB", needs, row["path"])
    # Names and addresses are there to be copied: whole, however narrow the terminal.
    Console(highlight=False, markup=False, width=_WHOLE).print(table)


@app.command(
    "verify",
    cls=Command,
    help=tr(
        "Read models whole and compare them with their checksums. Exit status 3 if one differs."
    ),
)
def verify_models(
    name: Annotated[str | None, typer.Argument(help=tr("One model. Default: all."))] = None,
    as_json: o.Json = False,
) -> None:
    """Read models whole and compare them with their checksums. Exit status 3 if one differs."""
    folder = user_models_dir()
    paths = [find_model(name, folder)] if name is not None else list(model_files(folder))
    with file_progress() as tell:
        found = [each for path in paths for each in verify(path, tell=tell)]
    if as_json:
        rows = [
            {
                "path": str(each.path),
                "verdict": each.verdict.value,
                "sha256": each.sha256,
                "expected": each.expected,
                "detail": each.detail,
            }
            for each in found
        ]
        output.result_json({"files": rows, "sound": all(each.sound for each in found)})
    for each in () if as_json else found:
        output.result(f"{each.path.name}: {_verdict_words(each)}")
    if not found:
        output.note(tr("There are no models in {folder}.", folder=str(folder)))
    if not all(each.sound for each in found):
        raise typer.Exit(_CHANGED)


def _verdict_words(each: Verified) -> str:
    match each.verdict:
        case Verdict.PUBLISHED:
            return tr("right, it has the published checksum")
        case Verdict.UNCHANGED:
            return tr("unchanged since it came here; no published checksum is known")
        case Verdict.CHANGED:
            return tr("CHANGED: its SHA-256 is {actual} and was {expected}",
                      actual=each.sha256, expected=each.expected)  # fmt: skip
        case Verdict.UNUSABLE:
            return tr("NOT USABLE: {why}", why=each.detail)
        case Verdict.UNKNOWN:
            return tr("no checksum is known; its SHA-256 is {actual}", actual=each.sha256)


@app.command(
    "remove", cls=Command, help=tr("Delete a model from the models' folder, after asking.")
)
def remove_model(
    name: Annotated[str, typer.Argument(help=tr("The model's file name or catalogue id."))],
    yes: Annotated[bool, typer.Option("--yes", "-y", help=tr("Do not ask."))] = False,
    as_json: o.Json = False,
) -> None:
    """Delete a model from the models' folder, after asking."""
    path = find_model(name, user_models_dir())
    files = files_of(path)
    size_mb = sum(each.stat().st_size for each in files) / MIB
    question = tr("Delete {path} ({size:,.0f} MiB) for good?", path=str(path), size=size_mb)
    if not yes and not _agrees(question):
        output.note(tr("Nothing was deleted."))
        raise typer.Exit(1)
    freed_mb = remove(path) / MIB
    if as_json:
        output.result_json({"removed": [str(each) for each in files], "mb": round(freed_mb, 2)})
        return
    output.result(tr("Deleted: {path}", path=str(path)))


def _agrees(question: str) -> bool:
    """Ask on standard error: standard output is for results. No answer is no."""
    output.note(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes", "是")


def _files() -> list[Path]:
    starter = starter_model()
    return [*([starter] if starter else []), *model_files(user_models_dir())]


def _describe(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": str(path),
        "name": path.stem,
        "quantisation": "",
        "mb": round(path.stat().st_size / MIB, 2),
        "needs_mb": 0.0,
        "error": "",
    }
    try:
        header = read_header(path)
    except ModelRefused as problem:
        return {**row, "error": str(problem)}
    return {
        **row,
        "name": header.name,
        "quantisation": header.quantisation,
        "mb": round(header.file_bytes / MIB, 2),
        "needs_mb": _needs_mb(header),
    }


def _available() -> list[dict[str, Any]]:
    return [
        {
            "path": f"{model.id}/{file.quantisation}",
            "name": model.name,
            "quantisation": file.quantisation,
            "mb": round(file.size_bytes / MIB, 2),
            "needs_mb": _needs_mb(model.header(file)),
            "error": "",
            "verifiable": file.sha256 is not None,
        }
        for model in known_models()
        for file in model.files
    ]


def _needs_mb(header: ModelHeader) -> float:
    share = ProcessShare(window_mib=o.COMMAND_LINE_MIB)
    return round(plan(header, LoadSettings(), share).total_mib, 2)
