"""Downloads models and lists repositories in a child process, which alone parses what servers send.

So the caller's process, the window for instance, never loads the network's libraries. The process
starts with a request and ends with its reply. A download whose process was killed is continued by
the next one, as after a crash.

The owner does not trust the process: sizes, checksums and names are checked when a message is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, TypeAdapter, model_validator

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import (
    DownloadProgress,
    DownloadSpec,
    HubFile,
    HubListing,
    ProgressCallback,
    PulledModel,
    RetryPolicy,
)
from deepseek_r1.catalogue.errors import (
    DownloadFailed,
    DownloadStopped,
    FileNameUnusable,
    PageNotRead,
    RepositoryNotListed,
)
from deepseek_r1.catalogue.file_rules import checked_name
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.known_models import Sha256
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.core import log
from deepseek_r1.core.child_call import (
    ChildCall,
    ChildDied,
    ChildFailure,
    ChildProgress,
    ChildTooSlow,
)
from deepseek_r1.core.errors import ProtocolBroken, R1Error
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.frames import PipeMessage, one_of
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.processes import ChildKind

STOP_S: Final = 1.5  # from the request to stop until the process is killed
MAX_ADDRESS: Final = 4_000  # characters
EXIT_S: Final = 0.4  # for a killed process to end; one that waits for a drive takes longer


class PullRequest(PipeMessage):
    """Downloads the files of one model into `folder`."""

    kind: Literal["pull"] = "pull"
    specs: Annotated[tuple[DownloadSpec, ...], Field(min_length=1)]
    folder: FilePath
    policy: RetryPolicy

    def failed(self, detail: str) -> R1Error:
        """The error where the process itself fails."""
        return DownloadFailed(file=self.specs[0].file, detail=detail)


class ListRequest(PipeMessage):
    """Lists a repository."""

    kind: Literal["list"] = "list"
    reference: HubReference
    policy: RetryPolicy

    def failed(self, detail: str) -> R1Error:
        """The error where the process itself fails."""
        return RepositoryNotListed(repository=self.reference.repository, detail=detail)


class PageRequest(PipeMessage):
    """Fetches a web page into a file, the only one in its folder."""

    kind: Literal["page"] = "page"
    address: Annotated[str, Field(max_length=MAX_ADDRESS)]
    path: FilePath
    policy: RetryPolicy

    def failed(self, detail: str) -> R1Error:
        """The error where the process itself fails."""
        return PageNotRead(name=self.address, detail=detail.rstrip("."))


class StopRequest(PipeMessage):
    """Ends the work on the request."""

    kind: Literal["stop"] = "stop"


class ProgressReport(ChildProgress):
    """The progress of a download."""

    kind: Literal["progress"] = "progress"
    progress: DownloadProgress


class FilesPulled(PipeMessage):
    """The files of a `PullRequest` are in the folder; `new`: one of them was not there before."""

    kind: Literal["pulled"] = "pulled"
    sha256: tuple[Sha256, ...]
    new: bool


class RepositoryListed(PipeMessage):
    """The models of the repository of a `ListRequest`."""

    kind: Literal["listed"] = "listed"
    models: tuple[Annotated[tuple[HubFile, ...], Field(min_length=1)], ...]
    outline: ModelOutline | None

    @model_validator(mode="after")
    def _check(self) -> RepositoryListed:
        try:
            for model in self.models:
                for file in model:
                    checked_name(file.name)
        except FileNameUnusable as error:
            raise ValueError(error) from error
        if self.outline is not None and not self.outline.consistent:
            raise ValueError("outline")
        return self


class PageFetched(PipeMessage):
    """The file has a page; `address` is its address after all redirects."""

    kind: Literal["fetched"] = "fetched"
    address: Annotated[str, Field(max_length=MAX_ADDRESS)]


_UNEXPECTED: Final = N_("The network process sent data that could not be understood.")
NetworkRequest = PullRequest | ListRequest | PageRequest
ResultT = TypeVar("ResultT", FilesPulled, RepositoryListed, PageFetched)

request_adapter: TypeAdapter[NetworkRequest] = one_of(NetworkRequest)
_Reply = ProgressReport | FilesPulled | RepositoryListed | PageFetched | ChildFailure
reply_adapter: TypeAdapter[_Reply] = one_of(_Reply)


class NetworkProcess:
    """Starts a process for each call and ends it before the call returns. Any thread may call."""

    def __init__(
        self,
        on_started: Callable[[int], object] = lambda _pid: None,
        on_ended: Callable[[int], object] = lambda _pid: None,
    ) -> None:
        """Both functions get the process's number, in the thread of the call."""
        self._on_started, self._on_ended = on_started, on_ended

    def pull(
        self,
        specs: Sequence[DownloadSpec],
        folder: Path,
        *,
        policy: RetryPolicy,
        on_progress: ProgressCallback = lambda _progress: None,
        stop: Stop | None = None,
    ) -> PulledModel:
        """Download the files of one model as `catalogue.pull` does, with the same errors.

        Raises DownloadFailed as well where the process ends; the partial file is kept.
        """
        for spec in specs:
            spec.require_checkable()
        request = PullRequest(specs=tuple(specs), folder=str(folder), policy=policy)
        reply = self._call(request, FilesPulled, stop, on_progress)
        if len(reply.sha256) != len(specs):
            raise request.failed(tr(_UNEXPECTED))
        paths = tuple(folder / spec.file for spec in specs)
        verified = all(spec.verifiable for spec in specs)
        return PulledModel(paths[0], paths, reply.sha256, verified, reply.new)

    def list_repository(
        self, reference: HubReference, policy: RetryPolicy, stop: Stop | None = None
    ) -> HubListing:
        """List a repository as `catalogue.hub_listing` does, with the same errors."""
        reply = self._call(ListRequest(reference=reference, policy=policy), RepositoryListed, stop)
        return HubListing(reference, reply.models, reply.outline)

    def fetch_page(
        self, address: str, path: Path, policy: RetryPolicy, stop: Stop | None = None
    ) -> str:
        """Fetch a web page into a file in a folder of its own; returns its last address.

        Raises PageNotRead, and DownloadStopped.
        """
        request = PageRequest(address=address[:MAX_ADDRESS], path=str(path), policy=policy)
        return self._call(request, PageFetched, stop).address

    def _call(
        self,
        request: NetworkRequest,
        kind: type[ResultT],
        stop: Stop | None,
        on_progress: ProgressCallback = lambda _progress: None,
    ) -> ResultT:
        """Raises DownloadStopped, what `request.failed` makes, or the reply's error."""
        stop = stop or Stop()
        stop.check(_name(request))
        try:
            child = ChildCall(ChildKind.NETWORK, reply_adapter)
        except OSError as error:
            detail = tr("The network process could not be started: {reason}.", reason=str(error))
            raise request.failed(detail) from error
        self._on_started(child.pid)

        def ask_to_stop() -> None:
            child.send(StopRequest())
            child.hurry(STOP_S)

        try:
            stop.set_wake(ask_to_stop)
            result = child.ask(request, on_progress=lambda report: on_progress(report.progress))
            if not isinstance(result, kind):
                raise ProtocolBroken(detail=type(result).__name__)
        except ChildTooSlow:
            raise DownloadStopped(file=_name(request)) from None
        except ProtocolBroken as error:
            log.models.warning("the network process is ended: %s", error)
            raise request.failed(tr(_UNEXPECTED)) from error
        except ChildDied as died:
            if stop.asked:
                raise DownloadStopped(file=_name(request)) from None
            log.models.warning("the network process ended (%s): %s", died.how, died.stderr)
            detail = tr("The network process ended ({how}).", how=died.how)
            raise request.failed(detail) from died
        else:
            return result
        finally:
            stop.set_wake(None)
            if not child.close(EXIT_S):
                log.models.warning("the network process %d takes long to end", child.pid)
            self._on_ended(child.pid)


def _name(request: NetworkRequest) -> str:
    if isinstance(request, PageRequest):
        return request.address
    return (
        request.specs[0].file if isinstance(request, PullRequest) else request.reference.repository
    )
