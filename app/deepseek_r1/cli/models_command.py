"""The commands `deepseek-r1 models`: list, verify and remove model files."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from deepseek_r1.catalogue.file_rules import files_of
from deepseek_r1.catalogue.installed import installed_models, model_files
from deepseek_r1.catalogue.known_models import catalogue, known_models
from deepseek_r1.catalogue.model_file import ModelFile, known_files, listed_files
from deepseek_r1.catalogue.model_folder import Verified, VerifyResult, find_model, remove, verify
from deepseek_r1.catalogue.recommendation import best_for_you, ladder_text, speed_and_loss
from deepseek_r1.cli import console, pull_command
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import Group, flag
from deepseek_r1.cli.progress import file_progress, print_table
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import models_dirs, user_models_dir
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.units import format_mib, format_size
from deepseek_r1.memory.forecast import Fit, fit_facts, planned_share
from deepseek_r1.memory.plan import plan

MIB = 1 << 20
_CHANGED = 3  # the exit code of a refused model


@click.group(cls=Group, help=tr("The models on this computer."))
def models() -> None:
    """The group of the commands for models."""


models.add_command(pull_command.pull_model)
models.add_command(pull_command.import_file)


@models.command(
    "list",
    help=tr("List the models that can be used, with what each needs at the default settings."),
)
@flag("--available", tr("List the models that can be downloaded."))
@o.json_option
def list_models(*, available: bool, as_json: bool) -> None:
    here = () if available else installed_models()
    rows = _available() if available else [_row(file, str(file.path)) for file in here]
    if as_json:
        console.result_json({"models": rows})
        return
    last = tr("To download") if available else tr("File")
    print_table(
        (tr("Model"), tr("Type"), tr("Size"), tr("Needs"), last),
        (
            (
                row["name"] if available else Path(row["path"]).stem,  # what commands take
                row["quantisation"],
                format_mib(row["mb"]),
                row["error"] or format_mib(row["needs_mb"], up=True),
                row["path"],
            )
            for row in rows
        ),
    )
    if available:
        _note_drafts()
    for row in rows:
        if row.get("best"):
            text = tr("The best DeepSeek-R1 for this computer: {name}", name=row["path"])
            console.result(text)


def _note_drafts() -> None:
    """Say which models have draft models, and how they are downloaded."""
    for draft in catalogue().drafts:
        names = ", ".join(model.name for model in known_models() if model.draft == draft.id)
        text = tr(
            "{draft} (about {size}) is a draft model for {names}: pull with --with-draft. "
            "Its licence is stated on {page}",
            draft=draft.name,
            size=format_size(draft.about_bytes),
            names=names,
            page=str(draft.origin),
        )
        console.note(text)


@models.command(
    "files",
    help=tr(
        "List the files of a model of the catalogue, or the GGUF files of a repository of Hugging "
        "Face or ModelScope, with the speed of each on this computer and what it loses."
    ),
)
@click.argument(
    "repository", help=tr("A model's id, a repository as owner/name, or the address of its page.")
)
@o.budget_option
@pull_command.source_option
@o.json_option
def list_files(*, repository: str, memory_budget: int, source: str | None, as_json: bool) -> None:
    files, name = pull_command.known_ladder(repository), repository.casefold()
    if not files:
        listing = pull_command.list_hub(repository, source)
        files, name = listed_files(listing), listing.reference.repository
    files = pull_command.forecaster(memory_budget).add_to(files)
    text = ladder_text(files)
    if as_json:
        rows = [_file_row(file) for file in files]
        console.result_json({"repository": name, "files": rows, "advice": text})
        return
    print_table(
        (tr("Type"), tr("Size"), tr("Needs"), tr("Fit"), tr("Speed and loss"), tr("File")),
        (
            (
                file.quantisation,
                format_size(file.size_bytes or 0),
                *_needs_and_fit(file),
                speed_and_loss(file),
                file.file,
            )
            for file in files
        ),
    )
    if text:
        console.result(text)


def _needs_and_fit(file: ModelFile) -> tuple[str, str]:
    if file.forecast is None:
        return "?", "?"
    return format_mib(file.forecast.bill.total_mib, up=True), fit_facts(file.forecast)[0]


def _file_row(file: ModelFile) -> dict[str, Any]:
    row: dict[str, Any] = {
        "file": file.file,
        "parts": len(file.specs),
        "quantisation": file.quantisation,
        "mb": round((file.size_bytes or 0) / MIB, 2),
        "needs_mb": 0.0,
        "fits": None,
        "verifiable": file.verifiable,
    }
    if (forecast := file.forecast) is not None:
        row |= {
            "needs_mb": round(forecast.bill.total_mib, 2),
            "fits": forecast.fit is Fit.IN_MEMORY,
            "tok_s": round(forecast.tok_s, 2),
            "drafted_tok_s": round(forecast.drafted_tok_s, 2),
        }
    return row


@models.command(
    "verify",
    help=tr(
        "Read models completely and compare them with their checksums. Exit status 3 if "
        "one differs."
    ),
)
@click.argument("name", required=False, help=tr("One model. Default: all."))
@o.json_option
def verify_models(*, name: str | None, as_json: bool) -> None:
    folder, folders = user_models_dir(), [*models_dirs()]
    if (starter := starter_model()) is not None:
        folders.append(starter.parent)
    paths = [find_model(name, *folders)] if name is not None else _own_files()
    with file_progress() as on_progress:
        found = [each for path in paths for each in verify(path, on_progress)]
    if as_json:
        rows = [asdict(each) | {"path": str(each.path)} for each in found]
        console.result_json({"files": rows, "sound": all(each.sound for each in found)})
    for each in () if as_json else found:
        console.result(f"{each.path.name}: {_verify_text(each)}")
    if not found:
        console.note(tr("There are no models in {folder}.", folder=str(folder)))
    if not all(each.sound for each in found):
        raise SystemExit(_CHANGED)


def _verify_text(each: Verified) -> str:
    match each.verdict:
        case VerifyResult.PUBLISHED:
            return tr("correct, it has the published checksum")
        case VerifyResult.UNCHANGED:
            return tr("unchanged since it was added; no published checksum is known")
        case VerifyResult.CHANGED:
            return tr("CHANGED: its SHA-256 is {actual} and was {expected}",
                      actual=each.sha256, expected=each.expected)  # fmt: skip
        case VerifyResult.UNUSABLE:
            return tr("NOT USABLE: {why}", why=each.detail)
        case VerifyResult.UNKNOWN:
            return tr("no checksum is known; its SHA-256 is {actual}", actual=each.sha256)


@models.command("remove", help=tr("Delete a model from the models folder, after asking."))
@click.argument("name", help=tr("The model's file name or catalogue id."))
@flag("--yes -y", tr("Do not ask."))
@o.json_option
def remove_model(*, name: str, yes: bool, as_json: bool) -> None:
    path = find_model(name, *models_dirs())
    files = files_of(path)
    size = format_size(sum(each.stat().st_size for each in files))
    question = tr("Delete {path} ({size}) for good?", path=str(path), size=size)
    if not yes and not _agrees(question):
        console.note(tr("Nothing was deleted."))
        raise SystemExit(1)
    freed_mb = remove(path) / MIB
    if as_json:
        console.result_json({"removed": [str(each) for each in files], "mb": round(freed_mb, 2)})
        return
    console.result(tr("Deleted: {path}", path=str(path)))


def _agrees(question: str) -> bool:
    """Ask on standard error, because standard output is for results. An empty reply means no."""
    console.note(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes", "是")


def _own_files() -> list[Path]:
    return list(dict.fromkeys(path for folder in models_dirs() for path in model_files(folder)))


def _available() -> list[dict[str, Any]]:
    files = pull_command.forecaster(LoadSettings().memory_budget).add_to(known_files())
    best = best_for_you(files)
    return [
        _row(file, f"{model.id}/{file.quantisation}")
        | {
            "verifiable": True,
            "draft": model.draft or "",
            "purpose": model.purpose_text,
            "best": file is best,
        }
        for file in files
        if (model := file.known) is not None
    ]


def _row(file: ModelFile, path: str) -> dict[str, Any]:
    needs_mib = 0.0
    if (header := file.header) is not None:
        needs_mib = plan(header, LoadSettings(), planned_share(o.COMMAND_LINE_MIB)).bill.total_mib
    return {
        "path": path,
        "name": file.name,
        "quantisation": file.quantisation,
        "mb": round((file.size_bytes or 0) / MIB, 2),
        "needs_mb": round(needs_mib, 2),
        "error": file.error.text() if file.error is not None else "",
    }
