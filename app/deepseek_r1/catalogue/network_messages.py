"""The messages between the network process and its owner: one request, a stop, progress, one reply.

The owner does not trust the process, which parses what servers send: sizes, checksums and names are
checked when a message is read.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from deepseek_r1.catalogue.download_progress import DownloadProgress
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import FileNameUnusable
from deepseek_r1.catalogue.file_names import checked_name
from deepseek_r1.catalogue.hub_models import HubModel
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.known_models import Sha256
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.catalogue.retry_policy import RetryPolicy
from deepseek_r1.core.child_call import ChildFailure, ChildProgress
from deepseek_r1.core.file_path import FilePath


class _NetworkFrame(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")


class PullRequest(_NetworkFrame):
    """Downloads the files of one model into `folder`."""

    kind: Literal["pull"] = "pull"
    specs: Annotated[tuple[DownloadSpec, ...], Field(min_length=1)]
    folder: FilePath
    policy: RetryPolicy


class ListRequest(_NetworkFrame):
    """Lists a repository."""

    kind: Literal["list"] = "list"
    reference: HubReference
    policy: RetryPolicy


class StopRequest(_NetworkFrame):
    """Ends the work on the request."""

    kind: Literal["stop"] = "stop"


class ProgressReport(ChildProgress):
    """The progress of a download."""

    kind: Literal["progress"] = "progress"
    progress: DownloadProgress


class FilesPulled(_NetworkFrame):
    """The files of a `PullRequest` are in the folder; `new`: one of them was not there before."""

    kind: Literal["pulled"] = "pulled"
    sha256: tuple[Sha256, ...]
    new: bool


class RepositoryListed(_NetworkFrame):
    """The models of the repository of a `ListRequest`."""

    kind: Literal["listed"] = "listed"
    models: tuple[HubModel, ...]
    outline: ModelOutline | None

    @model_validator(mode="after")
    def _check(self) -> RepositoryListed:
        try:
            for model in self.models:
                for file in model.files:
                    checked_name(file.name)
        except FileNameUnusable as error:
            raise ValueError(error) from error
        if self.outline is not None and not self.outline.consistent:
            raise ValueError("outline")
        return self


NetworkRequest = PullRequest | ListRequest
NetworkResult = FilesPulled | RepositoryListed

request_adapter: TypeAdapter[NetworkRequest] = TypeAdapter(
    Annotated[NetworkRequest, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)
stop_adapter: TypeAdapter[StopRequest] = TypeAdapter(StopRequest)
reply_adapter: TypeAdapter[ProgressReport | NetworkResult | ChildFailure] = TypeAdapter(
    Annotated[ProgressReport | NetworkResult | ChildFailure, Field(discriminator="kind")],
    config=ConfigDict(defer_build=True),
)
