"""A download: the file, its address, known size and checksum; its limits, progress and result."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from deepseek_r1.catalogue.errors import ChecksumUnknown, ModelUnknown, RepositoryWithoutModel
from deepseek_r1.catalogue.file_rules import checked_name, name_in_url, part_of
from deepseek_r1.catalogue.hub_reference import HubHost, HubReference, hosts_in_order
from deepseek_r1.catalogue.known_models import (
    KnownDraft,
    KnownFile,
    KnownModel,
    Sha256,
    find_draft,
    known_models,
)
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import QUANTISATION

USUAL_QUANTISATION = "Q4_K_M"
SIZE_SLACK_BYTES = 64 << 10  # computed sizes differ from the real ones by a few kilobytes
FileSize = Annotated[int, Field(ge=0, le=1 << 50)]
RepositoryPath = Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class DownloadSpec:
    """One file to fetch.

    `size_bytes` is None where only the server knows it. Without `size_exact` it may differ by up to
    `SIZE_SLACK_BYTES`. With `listed_in`, the hub is asked for size and checksum before the
    download. A file with neither that nor `sha256` is refused unless `accept_unverified`.
    """

    url: str
    file: str
    sha256: Sha256 | None
    size_bytes: Annotated[int, Field(gt=0)] | None = None
    size_exact: bool = False
    accept_unverified: bool = False
    listed_in: HubReference | None = None

    @property
    def verifiable(self) -> bool:
        """True if the file is compared with a checksum."""
        return self.sha256 is not None or self.listed_in is not None

    def require_checkable(self) -> None:
        """Raise ChecksumUnknown or FileNameUnusable if this file must not be downloaded."""
        checked_name(self.file)
        if not self.verifiable and not self.accept_unverified:
            raise ChecksumUnknown(file=self.file)

    def allows(self, total_bytes: int) -> bool:
        """True if a file of this size can be the specified one."""
        if self.size_bytes is None:
            return total_bytes > 0
        slack = 0 if self.size_exact else SIZE_SLACK_BYTES
        return abs(total_bytes - self.size_bytes) <= slack


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. `path` is its place there, `sha256` None where none is published."""

    path: RepositoryPath
    size_bytes: FileSize
    sha256: Sha256 | None

    @property
    def name(self) -> str:
        """The name without folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class HubListing:
    """The models of a repository, the smallest first, each with its one file or all its parts.

    `outline` is None where it is unknown.
    """

    reference: HubReference
    models: tuple[tuple[HubFile, ...], ...]
    outline: ModelOutline | None

    def specs(self, model: Iterable[HubFile]) -> tuple[DownloadSpec, ...]:
        """The downloads of a model's files."""
        place = self.reference
        return tuple(
            DownloadSpec(
                place.host.file_url(place.repository, place.revision, each.path),
                each.name,
                each.sha256,
                each.size_bytes,
                size_exact=True,
            )
            for each in model
        )

    def choose(self) -> tuple[HubFile, ...]:
        """The model that is meant: by file, type or the usual. Raises RepositoryWithoutModel.

        Where type and file are named, the type finds a file that was renamed.
        """
        reference = self.reference
        types = {model: quantisation_of(model[0].name) for model in self.models}
        found = [each for each in types if any(file.path == reference.file for file in each)]
        if not found and (reference.quantisation or not reference.file):
            wanted = (reference.quantisation or USUAL_QUANTISATION).casefold()
            found = [each for each, of_type in types.items() if of_type.casefold() == wanted]
            if not found and not reference.quantisation and len(types) == 1:
                found = list(types)
        if not found:
            known = ", ".join(of_type or each[0].name for each, of_type in types.items())
            detail = tr("It has: {known}.", known=known[:500])
            raise RepositoryWithoutModel(repository=reference.repository, detail=detail)
        return found[0]


def quantisation_of(name: str) -> str:
    """The type in a file's name, for example Q4_K_M; empty where it has none."""
    part = part_of(name)
    stem = part[0] if part is not None else name.removesuffix(".gguf")
    found = QUANTISATION.search(stem)
    return found[1].upper() if found is not None else ""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The limits of a download; times are seconds.

    Fewer than `least_bytes` within `stall_s` count as a stall. The download ends after `give_up_s`
    without progress, or after `first_tries` attempts that all brought nothing.
    """

    connect_s: float = 15.0
    stall_s: float = 30.0
    least_bytes: int = 64 << 10
    give_up_s: float = 300.0
    first_tries: int = 4
    pause_s: float = 1.0  # before the second attempt, doubled for each further one
    longest_pause_s: float = 30.0
    loopback_http: bool = False  # allow http to this computer, for test servers


class DownloadPhase(StrEnum):
    """The step that a download is in."""

    CHECKING = "checking"  # reading the bytes of an earlier attempt
    RECEIVING = "receiving"
    WAITING = "waiting"  # until the next attempt


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """The progress of one file. `total_bytes` is None until known, `detail` explains a wait."""

    file: str
    phase: DownloadPhase
    done_bytes: int
    total_bytes: int | None
    bytes_s: float = 0.0
    detail: str = ""


ProgressCallback = Callable[[DownloadProgress], object]


@dataclass(frozen=True, slots=True)
class PulledModel:
    """A model that is in the folder now. `path` is its first file."""

    path: Path
    files: tuple[Path, ...]
    sha256: tuple[str, ...]
    verified: bool  # each file was compared with a checksum known beforehand
    new: bool  # it was not there before


def spec_for_known(
    model: KnownModel,
    file: KnownFile,
    source: str | None = None,
    *,
    accept_unverified: bool = False,
) -> DownloadSpec:
    """Returns the spec for a file from `source`, or its usual host. Raises ModelUnknown."""
    name = source or default_source(model, file)
    places = {host.name: (host, *place) for host, place in model.places(file).items()}
    if name not in places:
        raise ModelUnknown(name=f"{model.id} ({name})", known=", ".join(places))
    host, repository, revision = places[name]
    asked = HubReference(host, repository, revision, file.quantisation, file.file)
    return DownloadSpec(
        url=host.file_url(repository, revision, file.file),
        file=file.file,
        sha256=file.sha256,
        size_bytes=file.size_bytes if file.sha256 else None,
        size_exact=file.size_exact,
        accept_unverified=accept_unverified,
        listed_in=None if file.sha256 else asked,
    )


def draft_hosts() -> tuple[HubHost, ...]:
    """Returns the hubs that have the draft models, the one to try first at the beginning."""
    return tuple(host for host in hosts_in_order() if not host.modelscope)


def spec_for_draft(draft: KnownDraft, host: HubHost | None = None) -> DownloadSpec:
    """Returns the spec for a draft model, from `host` or the language's usual one."""
    host = host or draft_hosts()[0]
    reference = HubReference(host, draft.repository, host.branch, file=draft.file)
    url = host.file_url(draft.repository, host.branch, draft.file)
    return DownloadSpec(url, draft.file, sha256=None, listed_in=reference)


def default_source(model: KnownModel, file: KnownFile) -> str:
    """Returns the host to try first for a file."""
    sources = model.sources(file)
    return next(host.name for host in hosts_in_order() if host.name in sources)


def spec_for_url(
    url: str, sha256: str | None, *, name: str | None = None, accept_unverified: bool = False
) -> DownloadSpec:
    """Returns the spec for a file at an address. Raises FileNameUnusable."""
    file = checked_name(name) if name is not None else name_in_url(url)
    return DownloadSpec(url, file, sha256, accept_unverified=accept_unverified)


def find_known(name: str, quantisation: str | None = None) -> tuple[KnownModel, KnownFile]:
    """Returns the catalogue's entry for `id`, `id/type` or a file's name. Raises ModelUnknown."""
    model_id, _, tail = name.partition("/")
    wanted = quantisation or tail
    for model in known_models():
        for file in model.files:
            if file.file.casefold() == name.casefold():
                return model, file
        if model.id == model_id.casefold():
            by_type = {file.quantisation.casefold(): file for file in model.files}
            usual = by_type.get(USUAL_QUANTISATION.casefold(), model.files[0])
            wanted = wanted or usual.quantisation
            if wanted.casefold() in by_type:
                return model, by_type[wanted.casefold()]
            known = ", ".join(each.quantisation for each in model.files)
            raise ModelUnknown(name=f"{model.id}/{wanted}", known=known)
    raise ModelUnknown(name=name, known=", ".join(model.id for model in known_models()))


def other_source(spec: DownloadSpec) -> tuple[str, DownloadSpec] | None:
    """The host after that of `spec`, and the download there. None for an unknown file."""
    if spec.listed_in is not None and (draft := find_draft(spec.file)) is not None:
        here = spec.listed_in.host
        others = (host for host in draft_hosts() if host != here)
        return next(((host.name, spec_for_draft(draft, host)) for host in others), None)
    for model in known_models():
        for file in model.files:
            hosts, urls = zip(*model.sources(file).items(), strict=True)
            if spec.url in urls:
                host = hosts[(urls.index(spec.url) + 1) % len(urls)]
                accepts = spec.accept_unverified
                return host, spec_for_known(model, file, host, accept_unverified=accepts)
    return None
