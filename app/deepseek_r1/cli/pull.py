"""`deepseek-r1 models pull` and `import`: how models come to this computer."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deepseek_r1.catalogue.arrivals import Pulled
from deepseek_r1.catalogue.importing import Way, import_model
from deepseek_r1.catalogue.orders import Order, find_known, order_known, order_url
from deepseek_r1.cli import options as o
from deepseek_r1.cli import output
from deepseek_r1.cli.progress import file_progress
from deepseek_r1.cli.rules import rules
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.paths import user_models_dir
from deepseek_r1.core.words import tr


class From(StrEnum):
    """The catalogue's hosts, as they are typed."""

    HUGGING_FACE = "huggingface"
    HF_MIRROR = "hf-mirror"
    MODELSCOPE = "modelscope"


_HOSTS = {
    From.HUGGING_FACE: "Hugging Face",
    From.HF_MIRROR: "hf-mirror",
    From.MODELSCOPE: "ModelScope",
}

Sha256s = Annotated[
    list[str] | None,
    typer.Option(
        "--sha256",
        help=tr("The file's SHA-256; for several addresses one each, in their order."),
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", help=tr("Another name for the file in the models' folder."))
]


def pull_model(
    what: Annotated[
        list[str],
        typer.Argument(
            help=tr("A model of the catalogue, as id or id/quantisation, or https addresses."),
        ),
    ],
    *,
    quantisation: Annotated[
        str | None,
        typer.Option("--quantisation", help=tr("For a model of the catalogue. Default: Q4_K_M.")),
    ] = None,
    source: Annotated[
        From | None,
        typer.Option("--source", help=tr("Where a model of the catalogue is fetched from.")),
    ] = None,
    sha256: Sha256s = None,
    name: Name = None,
    accept_unverified: Annotated[
        bool,
        typer.Option("--accept-unverified", help=tr("Take a file for which no checksum is known.")),
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Download a model into the models' folder; a download that was cut goes on."""
    from deepseek_r1.catalogue.pull import pull  # noqa: PLC0415 - the network's libraries

    orders = _orders(
        what,
        quantisation=quantisation,
        source=source,
        sha256=sha256 or [],
        name=name,
        accept_unverified=accept_unverified,
    )
    for order in orders:
        output.note(tr("From {address}", address=order.url))
    with file_progress() as tell:
        pulled = pull(orders, user_models_dir(), rules=rules(), tell=tell)
    _show_pulled(pulled, as_json=as_json)


def _orders(
    what: list[str],
    *,
    quantisation: str | None,
    source: From | None,
    sha256: list[str],
    name: str | None,
    accept_unverified: bool,
) -> list[Order]:
    digests = [_checked_sha256(each) for each in sha256]
    if not any("://" in each for each in what):
        if len(what) > 1 or digests or name:
            raise WrongUsage(detail=tr("One model of the catalogue at a time, as it stands there."))
        model, file = find_known(what[0], quantisation)
        host = _HOSTS[source] if source else None
        return [order_known(model, file, host, accept_unverified=accept_unverified)]
    if len(digests) not in (0, len(what)) or (name and len(what) > 1) or quantisation or source:
        raise WrongUsage(detail=tr("Each address has one --sha256, and no other choices."))
    padded = [*digests, *([None] * len(what))]
    return [
        order_url(url, digest, name=name, accept_unverified=accept_unverified)
        for url, digest in zip(what, padded, strict=False)
    ]


def _checked_sha256(text: str) -> str:
    digest = text.strip().lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise WrongUsage(detail=tr("“{given}” is no SHA-256.", given=text[:80]))
    return digest


def import_file(
    file: Annotated[Path, typer.Argument(help=tr("A GGUF file; of a split model any part."))],
    *,
    move: Annotated[bool, typer.Option("--move", help=tr("Move it instead of copying."))] = False,
    link: Annotated[bool, typer.Option("--link", help=tr("Link it instead of copying."))] = False,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help=tr("What its SHA-256 should be."))
    ] = None,
    name: Name = None,
    as_json: o.Json = False,
) -> None:
    """Take a model file of this computer into the models' folder, after checking it."""
    if move and link:
        raise WrongUsage(detail=tr("Either --move or --link."))
    with file_progress() as tell:
        pulled = import_model(
            file,
            user_models_dir(),
            way=Way.MOVE if move else Way.LINK if link else Way.COPY,
            sha256=_checked_sha256(sha256) if sha256 else None,
            name=name,
            tell=tell,
        )
    _show_pulled(pulled, as_json=as_json)


def _show_pulled(pulled: Pulled, *, as_json: bool) -> None:
    if as_json:
        files = [
            {"path": str(path), "sha256": digest}
            for path, digest in zip(pulled.files, pulled.sha256, strict=True)
        ]
        values = {"path": str(pulled.path), "verified": pulled.verified, "new": pulled.new}
        output.result_json({**values, "files": files})
        return
    if not pulled.new:
        output.note(tr("It is here already."))
    if pulled.verified:
        output.note(tr("The checksum is right."))
    else:
        output.note(tr("No checksum was known; this is the file's own: {n}", n=pulled.sha256[0]))
    output.result(str(pulled.path))
