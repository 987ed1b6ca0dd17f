"""The catalogue of known models: `models/catalogue.json`, read and checked."""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from deepseek_r1.catalogue.hub_reference import HUB_HOSTS, HubHost
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.core.i18n import current_language
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


class KnownFile(_Data):
    """One quantisation of a model.

    `sha256` is None where no published value is known: then the hub is asked for size and checksum
    before each download, and without `revision` for its newest. `size_bytes` is computed, not
    published, where `size_exact` is False; `note` says more.
    """

    quantisation: str
    file: FileName
    revision: str | None
    size_bytes: Size
    size_exact: bool
    sha256: Sha256 | None
    note: str = ""


class KnownDraft(_Data):
    """A draft model for larger models of its family; its embedding and output are one weight.

    Its exact size and its checksum are not in the catalogue: the hub is asked for both before each
    download. Its licence is stated on its page, `origin`.
    """

    id: str
    name: str
    origin: HttpUrl
    repository: Repository
    file: FileName
    about_bytes: Size
    architecture: str
    parameters: Size
    vocabulary: Size
    shape: ModelShape

    @property
    def header(self) -> ModelHeader:
        """The header of the file, as far as the memory bill needs it."""
        outline = ModelOutline(
            self.name, self.architecture, self.shape, self.vocabulary, self.parameters, tied=True
        )
        return outline.header(self.file, self.about_bytes, "Q4_K_M")


class Score(_Data):
    """A published result. `by` is who measured it; empty for the model's own makers."""

    test: str
    result: str
    by: str = ""


class Thinking(StrEnum):
    """Whether a family thinks, and who opens the thinking block."""

    TEMPLATE = "template"
    MODEL = "model"
    NEVER = "never"


class ModelFamily(_Data):
    """The makers' advice on the use of a family of models.

    `switch` is the template's variable that turns the thinking off or limits it, else empty.
    """

    id: str
    thinking: Thinking
    switch: str = ""
    sampling: Mapping[str, float]


class KnownModel(_Data):
    """A model with its quantisations, the smallest first. `draft` is the id of a `KnownDraft`.

    `base` is empty for a model that stands for itself. `tied`: embedding and output are one weight.
    `extra` are further numbers of its header. `purpose` is a sentence in each language. `engine` is
    the first llama-cpp-python that computes it right; empty where any does.
    """

    id: str
    name: str
    architecture: str
    parameters: Size
    origin: HttpUrl  # the model's page
    base: str = ""  # the model it was distilled into
    licence: Licence
    base_licence: Licence | None = None
    family: str
    purpose: Mapping[str, str]
    scores: tuple[Score, ...] = ()
    vocabulary: Size
    shape: ModelShape
    extra: Mapping[str, int] = {}
    tied: bool = False
    repository: Repository
    repository_modelscope: Repository | None
    draft: str | None = None
    engine: Annotated[str, Field(pattern=r"^(\d+(\.\d+)*)?$")] = ""
    files: tuple[KnownFile, ...]

    def header(self, file: KnownFile) -> ModelHeader:
        """Returns the header of the file, as far as the memory bill needs it."""
        outline = ModelOutline(
            self.name,
            self.architecture,
            self.shape,
            self.vocabulary,
            self.parameters,
            self.extra,
            self.tied,
        )
        return outline.header(file.file, file.size_bytes, file.quantisation)

    def places(self, file: KnownFile) -> dict[HubHost, tuple[str, str]]:
        """Returns repository and revision by host."""
        named = {
            h: self.repository_modelscope if h.modelscope else self.repository for h in HUB_HOSTS
        }
        return {
            host: (name, host.branch if host.modelscope else file.revision or host.branch)
            for host, name in named.items()
            if name is not None
        }

    def sources(self, file: KnownFile) -> dict[str, str]:
        """Returns the addresses of the file by the names of their hosts."""
        places = self.places(file)
        return {host.name: host.file_url(*place, file.file) for host, place in places.items()}

    @property
    def purpose_text(self) -> str:
        """A sentence on its use, in the current language."""
        return self.purpose.get(current_language(), self.purpose["en"])


class Choice(_Data):
    """The models to choose from with a budget of `memory_gb`, by their ids, the best first."""

    memory_gb: Size
    first: tuple[str, ...]
    also: tuple[str, ...]
    experimental: tuple[str, ...]


class Catalogue(_Data):
    """The content of the catalogue file."""

    version: Annotated[int, Field(ge=1, le=1)]
    drafts: tuple[KnownDraft, ...] = ()
    families: tuple[ModelFamily, ...]
    choices: tuple[Choice, ...]
    models: tuple[KnownModel, ...]


@cache
def catalogue() -> Catalogue:
    """Returns the catalogue of the installation."""
    text = (catalogue_dir() / CATALOGUE_FILE).read_text(encoding="utf-8")
    return Catalogue.model_validate_json(text)


def known_models() -> tuple[KnownModel, ...]:
    """Returns the known models that the installed engine computes, the smallest first."""
    installed = _numbers(installed_engine())
    return tuple(each for each in catalogue().models if _numbers(each.engine) <= installed)


@cache
def installed_engine() -> str:
    """Returns the version of llama-cpp-python; a high one where none is here to be too old."""
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return "9999"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def family_of(model: KnownModel) -> ModelFamily:
    """Returns the family of `model`."""
    return next(each for each in catalogue().families if each.id == model.family)


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
