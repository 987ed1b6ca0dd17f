"""The commands `deepseek-r1 models pull` and `models import`, and the repositories of hubs."""

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from deepseek_r1.catalogue.download_spec import (
    DownloadSpec,
    HubListing,
    PulledModel,
    RetryPolicy,
    draft_hosts,
    find_known,
    spec_for_draft,
    spec_for_known,
    spec_for_url,
)
from deepseek_r1.catalogue.errors import DraftUnknown, ReferenceUnusable
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.hub_reference import HUB_HOSTS, HubReference, parse_reference
from deepseek_r1.catalogue.known_models import KnownDraft, draft_of, find_draft, known_models
from deepseek_r1.catalogue.model_file import ModelFile, known_files
from deepseek_r1.catalogue.model_folder import ImportMethod, import_model
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.catalogue.recommendation import ladder_text
from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import PATH, command, flag, option
from deepseek_r1.cli.progress import file_progress
from deepseek_r1.core.errors import R1Error, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.settings import LoadSettings

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


@dataclass(frozen=True, slots=True)
class _Order:
    """The arguments and options of a download, as they were typed."""

    what: tuple[str, ...]
    quantisation: str | None
    source: str | None
    sha256: tuple[str, ...]
    name: str | None
    accept_unverified: bool


_name_option = option("--name", tr("Another name for the file in the models folder."))


@command(
    "pull", tr("Download a model into the models folder; an interrupted download is continued.")
)
@click.argument(
    "what",
    nargs=-1,
    required=True,
    help=tr(
        "A model of the catalogue, as id or id/quantisation; a repository of Hugging Face, "
        "as owner/name or owner/name:type; or https addresses."
    ),
)
@option("--quantisation", tr("The type of the file. Default: Q4_K_M."))
@source_option
@option(
    "--sha256",
    tr("The file's SHA-256; for several addresses one each, in their order."),
    multiple=True,
)
@_name_option
@flag("--accept-unverified", tr("Accept a file for which no checksum is known."))
@flag("--with-draft", tr("Download the model's draft model as well."))
@o.json_option
def pull_model(*, with_draft: bool, as_json: bool, **typed: Any) -> None:
    """Download a model into the models' folder. `typed` are the fields of an `_Order`."""
    order = _Order(**typed)
    drafts = [_draft_spec(order)] if with_draft else []
    specs = _hub_specs(order) or _specs(order)
    for spec in (*drafts, *specs):
        console.note(tr("From {address}", address=spec.url))
    folder, policy = user_models_dir(), retry_policy()
    draft, failure = None, None
    with file_progress() as on_progress:
        pull = partial(NetworkProcess().pull, folder=folder, policy=policy, on_progress=on_progress)
        try:
            draft = pull(drafts) if drafts else None
        except R1Error as error:  # the model is of use without it
            failure = error
        pulled = pull(specs)
    _show_pulled(pulled, draft, as_json=as_json)
    if failure is not None:
        raise failure


def _draft_spec(order: _Order) -> DownloadSpec:
    """The draft model of a model of the catalogue. Raises WrongUsage and its kinds."""
    first, *more = order.what
    if more or is_hub_name(first) or "://" in first or find_draft(first):
        raise WrongUsage(detail=tr("--with-draft is for one model of the catalogue."))
    model, _ = find_known(first)
    draft = draft_of(model)
    if draft is None:
        raise DraftUnknown(model=model.name)
    return _spec_of_draft(draft, order)


def _spec_of_draft(draft: KnownDraft, order: _Order) -> DownloadSpec:
    """The draft model's file from the source, or from the usual hub where that does not have it."""
    host = HOSTS.get(order.source or "")
    spec = spec_for_draft(draft, host if host in draft_hosts() else None)
    return replace(spec, accept_unverified=order.accept_unverified)


def _hub_specs(order: _Order) -> list[DownloadSpec]:
    """The files of a repository; empty where the order is something else."""
    first, *more = order.what
    if more or not is_hub_name(first):
        return []
    if order.sha256 or order.name:
        raise WrongUsage(detail=tr("A repository is pulled without --name and --sha256."))
    listing = list_hub(first, order.source, order.quantisation)
    specs, accepts = listing.specs(listing.choose()), order.accept_unverified
    return [replace(spec, accept_unverified=accepts) for spec in specs]


def _specs(order: _Order) -> list[DownloadSpec]:
    what, name, accepts = order.what, order.name, order.accept_unverified
    digests = [_checked_sha256(each) for each in order.sha256]
    if not any("://" in each for each in what):
        if len(what) > 1 or digests or name:
            raise WrongUsage(
                detail=tr("Give one model of the catalogue at a time, without --name and --sha256.")
            )
        if (draft := find_draft(what[0])) is not None:
            if order.quantisation:
                raise WrongUsage(detail=tr("A draft model of the catalogue has one type only."))
            return [_spec_of_draft(draft, order)]
        model, file = find_known(what[0], order.quantisation)
        is_choice = order.quantisation is None and what[0].casefold() == model.id
        if is_choice and len(model.files) > 1:
            files = forecaster(LoadSettings().memory_budget).add_to(known_ladder(model.id))
            console.note(ladder_text(files))
        host = HOSTS[order.source].name if order.source else None
        return [spec_for_known(model, file, host, accept_unverified=accepts)]
    options = order.quantisation or order.source or (name and len(what) > 1)
    if len(digests) not in (0, len(what)) or options:
        raise WrongUsage(
            detail=tr("Each address needs its own --sha256; only a single one takes --name.")
        )
    padded = [*digests, *([None] * len(what))]
    return [
        spec_for_url(url, digest, name=name, accept_unverified=accepts)
        for url, digest in zip(what, padded, strict=False)
    ]


def _checked_sha256(text: str) -> str:
    digest = text.strip().lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise WrongUsage(detail=tr("“{given}” is not a SHA-256.", given=text[:80]))
    return digest


@command(
    "import", tr("Import a model file of this computer into the models folder after checking it.")
)
@click.argument("file", type=PATH, help=tr("A GGUF file, or any part of a split model."))
@flag("--move", tr("Move it instead of copying."))
@flag("--link", tr("Link it instead of copying."))
@option("--sha256", tr("The expected SHA-256."))
@_name_option
@o.json_option
def import_file(
    *, file: Path, move: bool, link: bool, sha256: str | None, name: str | None, as_json: bool
) -> None:
    if move and link:
        raise WrongUsage(detail=tr("Use either --move or --link."))
    with file_progress() as on_progress:
        pulled = import_model(
            file,
            user_models_dir(),
            method=ImportMethod.MOVE if move else ImportMethod.LINK if link else ImportMethod.COPY,
            sha256=_checked_sha256(sha256) if sha256 else None,
            name=name,
            on_progress=on_progress,
        )
    _show_pulled(pulled, as_json=as_json)


def _show_pulled(pulled: PulledModel, draft: PulledModel | None = None, *, as_json: bool) -> None:
    if as_json:
        values = _pulled_json(pulled)
        console.result_json(values if draft is None else {**values, "draft": _pulled_json(draft)})
        return
    _show_one(pulled)
    if draft is not None:
        _show_one(draft)
        console.note(tr("Use both: --model {model} --draft-model {draft}",
                        model=pulled.path.name, draft=draft.path.name))  # fmt: skip


def _pulled_json(pulled: PulledModel) -> dict[str, Any]:
    files = [
        {"path": str(path), "sha256": digest}
        for path, digest in zip(pulled.files, pulled.sha256, strict=True)
    ]
    values = {"path": str(pulled.path), "verified": pulled.verified, "new": pulled.new}
    return {**values, "files": files}


def _show_one(pulled: PulledModel) -> None:
    if not pulled.new:
        console.note(tr("It is here already."))
    if pulled.verified:
        console.note(tr("The checksum is right."))
    else:
        console.note(tr("No checksum was known. The file's SHA-256 is {n}", n=pulled.sha256[0]))
    console.result(str(pulled.path))
