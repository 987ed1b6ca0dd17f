"""`deepseek-r1 models`: the model files on this computer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from deepseek_r1.cli import options as o
from deepseek_r1.cli import output
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.paths import starter_model, user_models_dir
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.plan import ProcessShare, plan

app = typer.Typer(help=tr("The models on this computer."), no_args_is_help=True)


@app.callback()
def _models() -> None:
    """Keeps `list` a command of its own, also while it is the only one."""


@app.command("list")
def list_models(as_json: o.Json = False) -> None:
    """List the models that can be used, with what each needs at the default settings."""
    rows = [_describe(path) for path in _files()]
    if as_json:
        output.result_json({"models": rows})
        return
    table = Table(box=None, pad_edge=False)
    for title in (tr("Model"), tr("Type"), tr("Size"), tr("Needs"), tr("File")):
        table.add_column(title)
    for row in rows:
        needs = row["error"] or f"{row['needs_mb']:,.0f} MiB"
        table.add_row(row["name"], row["quantisation"], f"{row['mb']:,.0f} MiB", needs, row["path"])
    Console(highlight=False, soft_wrap=True).print(table)


def _files() -> list[Path]:
    starter = starter_model()
    folder = user_models_dir()
    own = sorted(folder.rglob("*.gguf")) if folder.is_dir() else []
    return [*([starter] if starter else []), *own]


def _describe(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": str(path),
        "name": path.stem,
        "quantisation": "",
        "mb": round(path.stat().st_size / (1 << 20), 2),
        "needs_mb": 0.0,
        "error": "",
    }
    try:
        header = read_header(path)
    except ModelRefused as problem:
        return {**row, "error": str(problem)}
    bill = plan(header, LoadSettings(), ProcessShare(window_mib=o.COMMAND_LINE_MIB))
    return {
        **row,
        "name": header.name,
        "quantisation": header.quantisation,
        "needs_mb": round(bill.total_mib, 2),
    }
