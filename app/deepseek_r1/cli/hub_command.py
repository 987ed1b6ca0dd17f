"""The command `deepseek-r1 models files`, and repositories as an argument of `models pull`."""

import os
from dataclasses import replace
from typing import Any

import click

from deepseek_r1.catalogue.download_spec import HubListing, RetryPolicy
from deepseek_r1.catalogue.errors import ReferenceUnusable
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.hub_reference import HUB_HOSTS, HubReference, parse_reference
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.catalogue.model_file import ModelFile, known_files, listed_files
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.catalogue.recommendation import ladder_text, speed_and_loss
from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import command, option
from deepseek_r1.cli.progress import print_table
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.units import format_mib, format_size
from deepseek_r1.memory.forecast import Fit, fit_facts

_MIB = 1 << 20
LOOPBACK_VARIABLE = "R1DESK_LOOPBACK_HTTP"
HOSTS = {host.name.casefold().replace(" ", ""): host for host in HUB_HOSTS}  # as they are typed
source_option = option(
    "--source", tr("Where a model is downloaded from."), click.Choice(list(HOSTS))
)


def retry_policy() -> RetryPolicy:
    """Returns the default policy. For tests, `R1DESK_LOOPBACK_HTTP=1` allows local http."""
    return RetryPolicy(loopback_http=os.environ.get(LOOPBACK_VARIABLE) == "1")


def is_hub_name(text: str) -> bool:
    """True for a repository or its page; a model of the catalogue and other addresses are none."""
    if "/" not in text:
        return False
    if any(model.id == text.partition("/")[0].casefold() for model in known_models()):
        return False
    try:
        found = parse_reference(text, loopback=retry_policy().loopback_http)
    except ReferenceUnusable:
        return False
    return isinstance(found, HubReference) and "/resolve/" not in text


def list_hub(text: str, source: str | None, quantisation: str | None = None) -> HubListing:
    """The files of a repository. Raises the errors of `list_repository`, and WrongUsage."""
    policy = retry_policy()
    host = HOSTS[source] if source is not None else None
    reference = parse_reference(text, host, loopback=policy.loopback_http)
    if not isinstance(reference, HubReference):
        raise WrongUsage(detail=tr("This is the address of one file: download it directly."))
    if source is not None and "://" in text:
        reference = replace(reference, host=HOSTS[source], revision=HOSTS[source].branch)
    if quantisation is not None:
        reference = replace(reference, quantisation=quantisation)
    console.note(tr("From {address}", address=f"{reference.host.origin}/{reference.repository}"))
    return NetworkProcess().list_repository(reference, policy)


@command(
    "files",
    tr(
        "List the files of a model of the catalogue, or the GGUF files of a repository of Hugging "
        "Face or ModelScope, with the speed of each on this computer and what it loses."
    ),
)
@click.argument(
    "repository", help=tr("A model's id, a repository as owner/name, or the address of its page.")
)
@o.budget_option
@source_option
@o.json_option
def list_files(*, repository: str, memory_budget: int, source: str | None, as_json: bool) -> None:
    """List the files of a model or a repository, with their forecasts."""
    files, name = known_ladder(repository), repository.casefold()
    if not files:
        listing = list_hub(repository, source)
        files, name = listed_files(listing), listing.reference.repository
    files = forecaster(memory_budget).add_to(files)
    text = ladder_text(files)
    if as_json:
        rows = [_row(file) for file in files]
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


def forecaster(memory_budget: int) -> Forecaster:
    """Forecasts with the measured speed of this computer."""
    made = Forecaster(
        LoadSettings(memory_budget=memory_budget), HeaderProcess(), o.COMMAND_LINE_MIB
    )
    made.measure()
    return made


def known_ladder(name: str) -> tuple[ModelFile, ...]:
    """The files of a model of the catalogue; empty for another name."""
    return tuple(file for file in known_files() if file.known and file.known.id == name.casefold())


def _needs_and_fit(file: ModelFile) -> tuple[str, str]:
    if file.forecast is None:
        return "?", "?"
    return format_mib(file.forecast.bill.total_mib, up=True), fit_facts(file.forecast)[0]


def _row(file: ModelFile) -> dict[str, Any]:
    row: dict[str, Any] = {
        "file": file.file,
        "parts": len(file.specs),
        "quantisation": file.quantisation,
        "mb": round((file.size_bytes or 0) / _MIB, 2),
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
