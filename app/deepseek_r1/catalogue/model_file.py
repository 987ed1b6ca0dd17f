"""A model's file, wherever it is: on this computer, in the catalogue or in a repository."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.download_spec import (
    DownloadSpec,
    HubListing,
    default_source,
    quantisation_of,
    spec_for_known,
)
from deepseek_r1.catalogue.known_models import (
    KnownDraft,
    KnownFile,
    KnownModel,
    draft_for_file,
    draft_of,
    known_models,
)
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.model_names import title
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.forecast import Fit, Forecast
from deepseek_r1.memory.plan import preferred_context


class Owner(StrEnum):
    """Whose a file of this computer is: ours, the user's, or another application's by its name."""

    STARTER = "starter"
    FOLDER = "R1 Desk"
    OPENED = "opened"
    LM_STUDIO = "LM Studio"
    JAN = "Jan"
    GPT4ALL = "GPT4All"
    OLLAMA = "Ollama"
    HUGGING_FACE = "Hugging Face"
    DOWNLOADS = "Downloads"


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """A model's file, or all its parts, and how it runs here.

    With a `path` it is on this computer; without one it is downloaded from one of its `sources`,
    the first of which is the usual one. `error` says why it cannot be used.
    """

    name: str  # the model's, or its owner's name for it
    file: str  # of its first part
    quantisation: str = ""
    size_bytes: int | None = None  # of all parts; None where only the server knows it
    header: ModelHeader | None = None  # None where its sizes are unknown
    reads_all: bool = True  # a token reads all of its weights, as far as the header tells
    known: KnownModel | None = None
    sources: Mapping[str, tuple[DownloadSpec, ...]] = field(default_factory=dict)  # by host
    forecast: Forecast | None = None
    path: Path | None = None
    real_path: Path | None = None  # without links
    owner: Owner | None = None
    error: ErrorReport | None = None

    @property
    def specs(self) -> tuple[DownloadSpec, ...]:
        """The downloads of its parts from the usual host; none for a file of this computer."""
        return next(iter(self.sources.values()), ())

    @property
    def key(self) -> object:
        """Tells files apart, whatever their forecasts."""
        return self.real_path or self.specs[0].url

    @property
    def title(self) -> str:
        """The names of model and type."""
        return title(self.name, self.quantisation)

    @property
    def verifiable(self) -> bool:
        """True if a checksum of every part is published."""
        return all(spec.verifiable for spec in self.specs)

    @property
    def draft(self) -> KnownDraft | None:
        """The draft model of its family."""
        return draft_of(self.known) if self.known is not None else draft_for_file(self.file)

    @property
    def bits(self) -> float:
        """Bits for each weight; 0 where that is unknown."""
        if self.header is None or not self.header.parameters or not self.size_bytes:
            return 0.0
        return self.size_bytes * 8 / self.header.parameters

    @property
    def from_memory(self) -> bool:
        """True where it runs from memory, with a context that thinking has space in."""
        if self.header is None or self.forecast is None:
            return False
        least = self.forecast.settings.context_length or preferred_context(self.header)
        return self.forecast.fit is Fit.IN_MEMORY and self.forecast.bill.context_length >= least

    @property
    def tok_s(self) -> float:
        """The speed in tokens a second, without a draft model; 0 if unknown."""
        return self.forecast.tok_s if self.forecast is not None else 0.0


def known_file(model: KnownModel, file: KnownFile) -> ModelFile:
    """A file of the catalogue."""
    first = default_source(model, file)
    hosts = sorted(model.sources(file), key=lambda host: host != first)
    return ModelFile(
        model.name,
        file.file,
        file.quantisation,
        file.size_bytes,
        model.header(file),
        known=model,
        sources={host: (spec_for_known(model, file, host),) for host in hosts},
    )


def known_files() -> tuple[ModelFile, ...]:
    """All files of the catalogue, the smallest models first."""
    return tuple(known_file(model, file) for model in known_models() for file in model.files)


def listed_files(listing: HubListing) -> tuple[ModelFile, ...]:
    """The models of a repository."""
    outline, host = listing.outline, listing.reference.host.name
    files = []
    for parts in listing.models:
        name, size_bytes = parts[0].name, sum(part.size_bytes for part in parts)
        quantisation, header, reads_all = quantisation_of(name), None, True
        if outline is not None:
            header = outline.header(name, size_bytes, quantisation)
            reads_all = header.experts == outline.shape.experts
        files.append(
            ModelFile(
                name.removesuffix(".gguf"),
                name,
                quantisation,
                size_bytes,
                header,
                reads_all=reads_all,
                sources={host: listing.specs(parts)},
            )
        )
    return tuple(files)
