"""The models of a repository on a hub, as values that a list of its files is checked against."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from deepseek_r1.catalogue.download_spec import USUAL_QUANTISATION, DownloadSpec
from deepseek_r1.catalogue.errors import RepositoryWithoutModel
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.known_models import Sha256
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.core.i18n import tr

FileSize = Annotated[int, Field(ge=0, le=1 << 50)]
RepositoryPath = Annotated[str, Field(max_length=1000)]


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
class HubModel:
    """A model of a repository: one file, or all parts in their order."""

    files: tuple[HubFile, ...]
    quantisation: str

    @property
    def name(self) -> str:
        """The name of its first file."""
        return self.files[0].name

    @property
    def size_bytes(self) -> int:
        """The size of all its files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def verifiable(self) -> bool:
        """True if a checksum of every file is published."""
        return all(file.sha256 is not None for file in self.files)


@dataclass(frozen=True, slots=True)
class HubListing:
    """The models of a repository, the smallest first. `outline` is None where it is unknown."""

    reference: HubReference
    models: tuple[HubModel, ...]
    outline: ModelOutline | None

    def specs(self, model: HubModel, *, accept_unverified: bool = False) -> list[DownloadSpec]:
        """The downloads of a model's files."""
        reference = self.reference
        return [
            DownloadSpec(
                reference.host.file_url(reference.repository, reference.revision, file.path),
                file.name,
                file.sha256,
                file.size_bytes,
                size_exact=True,
                accept_unverified=accept_unverified,
            )
            for file in model.files
        ]

    def choose(self) -> HubModel:
        """The model that is meant: by file, type or the usual. Raises RepositoryWithoutModel.

        Where type and file are named, the type finds a file that was renamed.
        """
        reference = self.reference
        found = [m for m in self.models if any(f.path == reference.file for f in m.files)]
        if not found and (reference.quantisation or not reference.file):
            wanted = (reference.quantisation or USUAL_QUANTISATION).casefold()
            found = [m for m in self.models if m.quantisation.casefold() == wanted]
            if not found and not reference.quantisation and len(self.models) == 1:
                found = list(self.models)
        if not found:
            known = ", ".join(m.quantisation or m.name for m in self.models)
            detail = tr("It has: {known}.", known=known[:500])
            raise RepositoryWithoutModel(repository=reference.repository, detail=detail)
        return found[0]
