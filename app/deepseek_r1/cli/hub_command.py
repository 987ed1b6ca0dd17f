"""The command `deepseek-r1 models files`, and repositories as an argument of `models pull`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from deepseek_r1.catalogue.download_spec import RetryPolicy
from deepseek_r1.catalogue.errors import ReferenceUnusable
from deepseek_r1.catalogue.hub_models import HubListing, HubModel
from deepseek_r1.catalogue.hub_reference import HUB_HOSTS, HubReference, parse_reference
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import command, option
from deepseek_r1.cli.progress import print_table
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import Bill
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.estimate import planned_share
from deepseek_r1.memory.plan import plan

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


@command("files", tr("List the GGUF files of a repository of Hugging Face or ModelScope."))
@click.argument("repository", help=tr("owner/name, or the address of the repository's page."))
@source_option
@o.json_option
def list_files(*, repository: str, source: str | None, as_json: bool) -> None:
    """List the GGUF files of a repository of Hugging Face or ModelScope."""
    listing = list_hub(repository, source)
    rows = [_row(listing, model) for model in listing.models]
    if as_json:
        console.result_json({"repository": listing.reference.repository, "files": rows})
        return
    fits = {True: tr("fits"), False: tr("from the disk, or with a larger budget"), None: "?"}
    print_table(
        (tr("Type"), tr("Size"), tr("Needs"), tr("Fit"), tr("File")),
        (
            (
                row["quantisation"],
                f"{row['mb']:,.0f} MiB",
                f"{row['needs_mb']:,.0f} MiB" if row["needs_mb"] else "?",
                fits[row["fits"]],
                row["file"],
            )
            for row in rows
        ),
    )


def default_bill(header: ModelHeader) -> Bill:
    """Returns the bill of a model at the default settings."""
    return plan(header, LoadSettings(), planned_share(o.COMMAND_LINE_MIB)).bill


def _row(listing: HubListing, model: HubModel) -> dict[str, Any]:
    row: dict[str, Any] = {
        "file": model.name,
        "parts": len(model.files),
        "quantisation": model.quantisation,
        "mb": round(model.size_bytes / _MIB, 2),
        "needs_mb": 0.0,
        "fits": None,
        "verifiable": model.verifiable,
    }
    if listing.outline is not None:
        header = listing.outline.header(model.name, model.size_bytes, model.quantisation)
        bill = default_bill(header)
        row |= {"needs_mb": round(bill.total_mib, 2), "fits": bill.fits and not bill.streams}
    return row
