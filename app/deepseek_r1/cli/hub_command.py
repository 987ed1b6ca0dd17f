"""The command `deepseek-r1 models files`, and repositories as an argument of `models pull`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from deepseek_r1.catalogue.download_spec import RetryPolicy
from deepseek_r1.catalogue.errors import ReferenceUnusable
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.hub_models import HubListing, HubModel
from deepseek_r1.catalogue.hub_reference import HUB_HOSTS, HubReference, parse_reference
from deepseek_r1.catalogue.known_models import (
    KnownFile,
    KnownModel,
    draft_for_file,
    draft_of,
    known_models,
)
from deepseek_r1.catalogue.ladder import Rung, ladder_text, loss_text
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import command, option
from deepseek_r1.cli.progress import print_table
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.forecast import Fit, Forecast, fit_facts

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
    "repository",
    help=tr("A model's id, a repository as owner/name, or the address of its page."),
)
@o.budget_option
@source_option
@o.json_option
def list_files(*, repository: str, memory_budget: int, source: str | None, as_json: bool) -> None:
    """List the files of a model or a repository, with their forecasts."""
    forecaster = _forecaster(memory_budget)
    found: list[tuple[dict[str, Any], Rung | None]]
    known = next((each for each in known_models() if each.id == repository.casefold()), None)
    if known is not None:
        found = [*(_known_row(known, file, forecaster) for file in known.files)]
    else:
        listing = list_hub(repository, source)
        found = [_row(listing, model, forecaster) for model in listing.models]
    text = ladder_text([rung for _, rung in found if rung is not None])
    if as_json:
        name = known.id if known is not None else listing.reference.repository
        console.result_json(
            {"repository": name, "files": [row for row, _ in found], "advice": text}
        )
        return
    print_table(
        (tr("Type"), tr("Size"), tr("Needs"), tr("Fit"), tr("Speed and loss"), tr("File")),
        (
            (
                row["quantisation"],
                f"{row['mb']:,.0f} MiB",
                f"{row['needs_mb']:,.0f} MiB" if row["needs_mb"] else "?",
                fit_facts(rung.forecast)[0] if rung is not None else "?",
                rung.text if rung is not None else loss_text(row["quantisation"]),
                row["file"],
            )
            for row, rung in found
        ),
    )
    if text:
        console.result(text)


def _forecaster(memory_budget: int) -> Forecaster:
    settings = LoadSettings(memory_budget=memory_budget)
    forecaster = Forecaster(settings, HeaderProcess(), o.COMMAND_LINE_MIB)
    forecaster.measure()
    return forecaster


def known_ladder(model: KnownModel) -> str:
    """The text of the ladder of a model of the catalogue, at the default settings."""
    forecaster = _forecaster(LoadSettings().memory_budget)
    return ladder_text([_known_row(model, file, forecaster)[1] for file in model.files])


def _known_row(
    model: KnownModel, file: KnownFile, forecaster: Forecaster
) -> tuple[dict[str, Any], Rung]:
    forecast = forecaster.forecast(model.header(file), draft_of(model))
    row = {"file": file.file, "parts": 1, "quantisation": file.quantisation}
    size = {"mb": round(file.size_bytes / _MIB, 2), "verifiable": True}
    return row | size | _fit(forecast), Rung(file.quantisation, forecast)


def _fit(forecast: Forecast) -> dict[str, Any]:
    return {
        "needs_mb": round(forecast.bill.total_mib, 2),
        "fits": forecast.fit is Fit.IN_MEMORY,
        "tok_s": round(forecast.tok_s, 2),
        "drafted_tok_s": round(forecast.drafted_tok_s, 2),
    }


def _row(
    listing: HubListing, model: HubModel, forecaster: Forecaster
) -> tuple[dict[str, Any], Rung | None]:
    row: dict[str, Any] = {
        "file": model.name,
        "parts": len(model.files),
        "quantisation": model.quantisation,
        "mb": round(model.size_bytes / _MIB, 2),
        "needs_mb": 0.0,
        "fits": None,
        "verifiable": model.verifiable,
    }
    if listing.outline is None:
        return row, None
    header = listing.outline.header(model.name, model.size_bytes, model.quantisation)
    forecast = forecaster.forecast(
        header,
        draft_for_file(model.name),
        reads_all=header.experts == listing.outline.shape.experts,
    )
    return row | _fit(forecast), Rung(model.quantisation, forecast)
