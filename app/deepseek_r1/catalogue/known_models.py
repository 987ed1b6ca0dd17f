"""The catalogue of known models: `models/catalogue.json`, read and checked."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.core.paths import catalogue_dir
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.formats.header import ModelShape

CATALOGUE_FILE = "catalogue.json"

Size = Annotated[int, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$", max_length=200)]
Repository = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")


class Licence(_Data):
    """A licence and where its text is."""

    name: str
    url: HttpUrl


class CatalogueShape(_Data):
    """The properties of a model's header from which the memory bill is computed."""

    blocks: Size
    embedding: Size
    feed_forward: Size
    heads: Size
    heads_kv: Size
    key_length: Size
    value_length: Size
    vocabulary: Size


class KnownFile(_Data):
    """One quantisation of a model.

    `sha256` is None where no published value is known: such a file cannot be verified.
    `size_bytes` is computed, not published, where `size_exact` is False; `note` says more.
    """

    quantisation: str
    file: FileName
    revision: str
    size_bytes: Size
    size_exact: bool
    sha256: Sha256 | None
    note: str = ""


class DownloadHost(_Data):
    """A site that hosts copies. `url` has placeholders for repository, revision and file."""

    name: str
    url: Annotated[str, Field(pattern=r"^https://")]
    modelscope: bool


class DownloadSource(_Data):
    """One address of a file."""

    host: str
    url: HttpUrl


class KnownDraft(_Data):
    """A draft model for larger models of its family.

    Its exact size and its checksum are not in the catalogue: the hub is asked for both before each
    download. Its licence is stated on its page, `origin`.
    """

    id: str
    name: str
    origin: HttpUrl
    repository: Repository
    file: FileName
    about_bytes: Size


class KnownModel(_Data):
    """A model with its quantisations, the smallest first. `draft` is the id of a `KnownDraft`."""

    id: str
    name: str
    architecture: str
    parameters: Size
    origin: HttpUrl  # the model's page
    base: str  # the model it was distilled into
    licence: Licence
    base_licence: Licence
    context_trained: Size
    shape: CatalogueShape
    repository: Repository
    repository_modelscope: Repository | None
    draft: str | None = None
    files: tuple[KnownFile, ...]

    def header(self, file: KnownFile) -> ModelHeader:
        """Returns the header of the file, as far as the memory bill needs it."""
        shape = self.shape
        outline = ModelOutline(
            self.name,
            self.architecture,
            ModelShape(
                context_trained=self.context_trained,
                blocks=shape.blocks,
                embedding=shape.embedding,
                feed_forward=shape.feed_forward,
                heads=shape.heads,
                heads_kv=shape.heads_kv,
                key_length=shape.key_length,
                value_length=shape.value_length,
                experts=0,
            ),
            shape.vocabulary,
            self.parameters,
        )
        return outline.header(file.file, file.size_bytes, file.quantisation)


class Catalogue(_Data):
    """The content of the catalogue file."""

    version: Annotated[int, Field(ge=1, le=1)]
    hosts: tuple[DownloadHost, ...]
    drafts: tuple[KnownDraft, ...] = ()
    models: tuple[KnownModel, ...]

    def sources(self, model: KnownModel, file: KnownFile) -> tuple[DownloadSource, ...]:
        """Returns the addresses of a file in the order of `hosts`."""
        found = []
        for host in self.hosts:
            repository = model.repository_modelscope if host.modelscope else model.repository
            if repository is not None:
                url = host.url.format(repository=repository, revision=file.revision, file=file.file)
                found.append(DownloadSource(host=host.name, url=HttpUrl(url)))
        return tuple(found)


@cache
def catalogue() -> Catalogue:
    """Returns the catalogue of the installation."""
    text = (catalogue_dir() / CATALOGUE_FILE).read_text(encoding="utf-8")
    return Catalogue.model_validate_json(text)


def known_models() -> tuple[KnownModel, ...]:
    """Returns all known models, the smallest first."""
    return catalogue().models


def draft_of(model: KnownModel) -> KnownDraft | None:
    """Returns the draft model that is made for `model`."""
    return next((each for each in catalogue().drafts if each.id == model.draft), None)


def draft_for_file(name: str) -> KnownDraft | None:
    """Returns the draft model for a model's file, by its name, whoever published the file.

    This is a guess: a pair that does not fit is refused when it is loaded.
    """
    stem = name.casefold()
    for model in known_models():
        named = model.name.casefold()
        if stem.startswith(named) and not stem.removeprefix(named)[:1].isalnum():
            return draft_of(model)
    return None


def find_draft(name: str) -> KnownDraft | None:
    """Returns the draft model with this id or file name."""
    wanted = name.casefold()
    return next((d for d in catalogue().drafts if wanted in (d.id, d.file.casefold())), None)
