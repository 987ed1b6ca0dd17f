"""Lists the GGUF files of a repository on a hub: one request for the list, one for the outline.

The list comes from a server and is checked: its length, its entries, every name and size.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from urllib.parse import quote, urlencode

import httpx2
from pydantic import AliasPath, BaseModel, Field, TypeAdapter, ValidationError

from deepseek_r1.catalogue import http_source
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import (
    DownloadSpec,
    FileSize,
    HubFile,
    HubListing,
    RepositoryPath,
    RetryPolicy,
)
from deepseek_r1.catalogue.errors import (
    FileNameUnusable,
    ProxyUnusable,
    RepositoryNotListed,
    RepositoryWithoutModel,
    SourceRefused,
    SourceUnsafe,
)
from deepseek_r1.catalogue.file_rules import checked_name, part_of
from deepseek_r1.catalogue.http_source import Interrupted, RangeGone, run_until_stopped
from deepseek_r1.catalogue.hub_reference import HubHost, HubReference
from deepseek_r1.catalogue.known_models import Sha256
from deepseek_r1.catalogue.outline import ModelOutline, read_outline
from deepseek_r1.core import log
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.i18n import tr

MOST_LIST_BYTES = 4 << 20
OUTLINE_BYTES = 64 << 10
_MOST_ENTRIES = 10_000
_NOT_MODELS = ("mmproj", "imatrix")


class _Lfs(BaseModel):
    oid: Sha256
    size: FileSize


class _TreeEntry(BaseModel):
    """An entry of Hugging Face's tree; other fields are ignored."""

    type: str
    path: RepositoryPath
    size: FileSize = 0
    lfs: _Lfs | None = None


class _ScopeFile(BaseModel):
    """An entry of ModelScope's list; other fields are ignored."""

    path: Annotated[RepositoryPath, Field(alias="Path")]
    size: Annotated[FileSize, Field(alias="Size")] = 0
    sha256: Annotated[Sha256 | None, Field(alias="Sha256")] = None


class _ScopeReply(BaseModel):
    files: Annotated[
        list[_ScopeFile],
        Field(validation_alias=AliasPath("Data", "Files"), max_length=_MOST_ENTRIES),
    ]


_TREE = TypeAdapter(Annotated[list[_TreeEntry], Field(max_length=_MOST_ENTRIES)])


def list_repository(
    reference: HubReference, policy: RetryPolicy, stop: Stop | None = None
) -> HubListing:
    """Fetch the list of files, then the beginning of the smallest one.

    Raises RepositoryNotListed, RepositoryWithoutModel, DownloadStopped.
    """
    return run_until_stopped(_list(reference, policy), stop or Stop(), reference.repository)


def published_spec(spec: DownloadSpec, policy: RetryPolicy, stop: Stop) -> DownloadSpec:
    """Ask the hub of `spec.listed_in` for size and checksum; other specs are returned unchanged.

    A file without a published checksum is refused unless `spec` accepts that. Raises
    RepositoryNotListed, RepositoryWithoutModel, ChecksumUnknown, DownloadStopped.
    """
    if spec.listed_in is None:
        return spec
    work = _list(spec.listed_in, policy, outline=False)
    listing = run_until_stopped(work, stop, spec.file)
    published, *others = listing.specs(listing.choose())
    if others:  # the catalogue's file is in parts by now
        known = ", ".join(part.file for part in (published, *others))
        raise RepositoryWithoutModel(
            repository=spec.listed_in.repository, detail=tr("It has: {known}.", known=known[:500])
        )
    published = replace(published, file=spec.file, accept_unverified=spec.accept_unverified)
    published.require_checkable()
    return published


async def _list(
    reference: HubReference, policy: RetryPolicy, *, outline: bool = True
) -> HubListing:
    name = reference.repository
    try:
        async with http_source.client(policy, name) as http:
            data = await http_source.fetch_document(
                http, _list_url(reference), name, policy, MOST_LIST_BYTES
            )
            models = _models(_parse_list(reference.host, data))
            if not models:
                detail = tr("None of its files is a GGUF model.")
                raise RepositoryWithoutModel(repository=name, detail=detail)
            found = await _outline(http, reference, models[0][0], policy) if outline else None
    except Interrupted as error:
        raise RepositoryNotListed(
            repository=name, detail=http_source.sentence(error.detail)
        ) from error
    except (SourceRefused, SourceUnsafe, ProxyUnusable) as error:
        raise RepositoryNotListed(repository=name, detail=error.sentences()[1]) from error
    except ValidationError as error:
        log.models.info("the list of %s is not valid: %s", name, error)
        detail = tr("The host's list of files is not valid.")
        raise RepositoryNotListed(repository=name, detail=detail) from error
    return HubListing(reference, models, found)


def _list_url(reference: HubReference) -> str:
    origin, repository = reference.host.origin, reference.repository
    if reference.host.modelscope:
        query = urlencode({"Revision": reference.revision, "Recursive": "true"})
        return f"{origin}/api/v1/models/{repository}/repo/files?{query}"
    return f"{origin}/api/models/{repository}/tree/{quote(reference.revision)}?recursive=true"


def _parse_list(host: HubHost, data: bytes) -> list[HubFile]:
    if host.modelscope:
        files = _ScopeReply.model_validate_json(data).files
        return [HubFile(each.path, each.size, each.sha256) for each in files]
    return [
        HubFile(each.path, each.lfs.size, each.lfs.oid)
        if each.lfs is not None
        else HubFile(each.path, each.size, None)
        for each in _TREE.validate_json(data)
        if each.type == "file"
    ]


def _models(files: Sequence[HubFile]) -> tuple[tuple[HubFile, ...], ...]:
    """Group the parts of split models; files with other kinds of names are left out."""
    groups: dict[str, list[HubFile]] = {}
    for file in files:
        if _is_model(file):
            part = part_of(file.name)
            folder = file.path.rpartition("/")[0]
            groups.setdefault(f"{folder}/{part[0] if part else file.name}", []).append(file)
    found = []
    for group in groups.values():
        parts = tuple(sorted(group, key=lambda file: file.name))
        part = part_of(parts[0].name)
        if (part is None and len(parts) == 1) or (part is not None and part[2] == len(parts)):
            found.append(parts)
    return tuple(
        sorted(found, key=lambda parts: (sum(each.size_bytes for each in parts), parts[0].name))
    )


def _is_model(file: HubFile) -> bool:
    try:
        checked_name(file.name)
    except FileNameUnusable:
        return False
    lower = file.name.lower()
    return file.size_bytes > 0 and not any(word in lower for word in _NOT_MODELS)


async def _outline(
    http: httpx2.AsyncClient, reference: HubReference, file: HubFile, policy: RetryPolicy
) -> ModelOutline | None:
    """The outline, or None: the files can be listed without it."""
    url = reference.host.file_url(reference.repository, reference.revision, file.path)
    try:
        start = await http_source.fetch_start(http, url, file.name, policy, OUTLINE_BYTES)
        return read_outline(start, file.name)
    except (Interrupted, RangeGone, SourceRefused, SourceUnsafe, ModelRefused) as error:
        log.models.info("no outline of %s: %s", file.path, error)
        return None
