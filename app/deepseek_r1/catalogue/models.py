"""The catalogue of known models: `models/catalogue.json`, read and checked."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from deepseek_r1.core.paths import catalogue_dir
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo

CATALOGUE_FILE = "catalogue.json"

Size = Annotated[int, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$", max_length=200)]
Repository = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Data):
    """A licence and where its text is."""

    name: str
    url: HttpUrl


class Shape(_Data):
    """What the memory bill is computed from, as the file's own header will say it."""

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


class Host(_Data):
    """A site that keeps copies. `url` has places for repository, revision and file."""

    name: str
    url: Annotated[str, Field(pattern=r"^https://")]
    modelscope: bool


class Source(_Data):
    """Where one file can be had."""

    host: str
    url: HttpUrl


class KnownModel(_Data):
    """A model with its quantisations, the smallest first."""

    id: str
    name: str
    architecture: str
    parameters: Size
    origin: HttpUrl  # the model's own page
    base: str  # the model it was distilled into
    licence: Licence
    base_licence: Licence
    context_trained: Size
    shape: Shape
    repository: Repository
    repository_modelscope: Repository | None
    files: tuple[KnownFile, ...]

    def header(self, file: KnownFile) -> ModelHeader:
        """What `read_header` would say of the file, as far as the memory bill needs it."""
        embedding = self.shape.embedding * self.shape.vocabulary
        share = file.size_bytes * embedding // self.parameters
        shapes = {
            "token_embd.weight": ((self.shape.embedding, self.shape.vocabulary), share),
            "output.weight": ((self.shape.embedding, self.shape.vocabulary), share),
            "blk.weight": ((self.parameters - 2 * embedding,), file.size_bytes - 2 * share),
        }
        return ModelHeader(
            path=Path(file.file),
            parts=(Path(file.file),),
            file_bytes=file.size_bytes,
            version=3,
            architecture=self.architecture,
            name=self.name,
            metadata={},
            tensors=tuple(
                TensorInfo(name, shape, file.quantisation, nbytes)
                for name, (shape, nbytes) in shapes.items()
            ),
            template=None,
            vocabulary=self.shape.vocabulary,
            context_trained=self.context_trained,
            blocks=self.shape.blocks,
            embedding=self.shape.embedding,
            feed_forward=self.shape.feed_forward,
            heads=self.shape.heads,
            heads_kv=self.shape.heads_kv,
            key_length=self.shape.key_length,
            value_length=self.shape.value_length,
            experts=0,
            quantisation=file.quantisation,
            parameters=self.parameters,
            has_output=True,
            tokenizer_model="gpt2",
            tokenizer_pre="",
        )


class Catalogue(_Data):
    """The whole file."""

    version: Annotated[int, Field(ge=1, le=1)]
    hosts: tuple[Host, ...]
    models: tuple[KnownModel, ...]

    def sources(self, model: KnownModel, file: KnownFile) -> tuple[Source, ...]:
        """Where a file can be had, in the order of `hosts`."""
        found = []
        for host in self.hosts:
            repository = model.repository_modelscope if host.modelscope else model.repository
            if repository is not None:
                url = host.url.format(repository=repository, revision=file.revision, file=file.file)
                found.append(Source(host=host.name, url=HttpUrl(url)))
        return tuple(found)


@cache
def catalogue() -> Catalogue:
    """The catalogue that came with the installation."""
    text = (catalogue_dir() / CATALOGUE_FILE).read_text(encoding="utf-8")
    return Catalogue.model_validate_json(text)


def known_models() -> tuple[KnownModel, ...]:
    """All known models, the smallest first."""
    return catalogue().models
