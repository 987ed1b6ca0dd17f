"""Downloads models and lists repositories in a child process, which alone parses what servers send.

So the caller's process, the window for instance, never loads the network's libraries. The process
starts with a request and ends with its reply. A download whose process was killed is continued by
the next one, as after a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_progress import ProgressCallback, PulledModel
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import DownloadFailed, DownloadStopped, RepositoryNotListed
from deepseek_r1.catalogue.hub_models import HubListing
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.network_messages import (
    FilesPulled,
    ListRequest,
    NetworkRequest,
    NetworkResult,
    PullRequest,
    RepositoryListed,
    StopRequest,
    reply_adapter,
)
from deepseek_r1.catalogue.retry_policy import RetryPolicy
from deepseek_r1.core import log
from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildTooSlow
from deepseek_r1.core.errors import ProtocolBroken, R1Error
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind

STOP_S: Final = 1.5  # from the request to stop until the process is killed
EXIT_S: Final = 0.4  # for a killed process to end; one that waits for a drive takes longer


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
        policy: RetryPolicy | None = None,
        on_progress: ProgressCallback = lambda _progress: None,
        stop: Stop | None = None,
    ) -> PulledModel:
        """Download the files of one model as `catalogue.pull` does, with the same errors.

        Raises DownloadFailed as well where the process ends; the partial file is kept.
        """
        for spec in specs:
            spec.require_checkable()
        file = specs[0].file

        def failed(detail: str) -> R1Error:
            return DownloadFailed(file=file, detail=detail)

        request = PullRequest(
            specs=tuple(specs), folder=str(folder), policy=policy or RetryPolicy()
        )
        reply = self._call(request, stop or Stop(), file, failed, on_progress)
        if not isinstance(reply, FilesPulled) or len(reply.sha256) != len(specs):
            raise failed(_unexpected())
        paths = tuple(folder / spec.file for spec in specs)
        verified = all(spec.verifiable for spec in specs)
        return PulledModel(paths[0], paths, reply.sha256, verified, reply.new)

    def list_repository(
        self, reference: HubReference, policy: RetryPolicy | None = None, stop: Stop | None = None
    ) -> HubListing:
        """List a repository as `catalogue.hub_listing` does, with the same errors."""
        repository = reference.repository

        def failed(detail: str) -> R1Error:
            return RepositoryNotListed(repository=repository, detail=detail)

        request = ListRequest(reference=reference, policy=policy or RetryPolicy())
        reply = self._call(request, stop or Stop(), repository, failed)
        if not isinstance(reply, RepositoryListed):
            raise failed(_unexpected())
        return HubListing(reference, reply.models, reply.outline)

    def _call(
        self,
        request: NetworkRequest,
        stop: Stop,
        name: str,
        failed: Callable[[str], R1Error],
        on_progress: ProgressCallback = lambda _progress: None,
    ) -> NetworkResult:
        """Raises DownloadStopped, which names `name`, what `failed` makes, or the reply's error."""
        stop.check(name)
        try:
            child = ChildCall(ChildKind.NETWORK, reply_adapter)
        except OSError as error:
            detail = tr(
                "The process for the network could not be started: {reason}.", reason=str(error)
            )
            raise failed(detail) from error
        self._on_started(child.pid)
        stopping = threading.Event()

        def ask_to_stop() -> None:
            stopping.set()
            child.send(StopRequest())
            child.hurry(STOP_S)

        try:
            stop.set_wake(ask_to_stop)
            stop.check(name)
            result: NetworkResult = child.ask(
                request, on_progress=lambda report: on_progress(report.progress)
            )
        except ChildTooSlow:
            raise DownloadStopped(file=name) from None
        except ProtocolBroken as error:
            log.models.warning("the network process is ended: %s", error)
            raise failed(_unexpected()) from error
        except ChildDied as died:
            if stopping.is_set():
                raise DownloadStopped(file=name) from None
            log.models.warning("the network process ended (%s): %s", died.how, died.stderr)
            raise failed(tr("The process for the network ended ({how}).", how=died.how)) from died
        else:
            return result
        finally:
            stop.set_wake(None)
            if not child.close(EXIT_S):
                log.models.warning("the network process %d takes long to end", child.pid)
            self._on_ended(child.pid)


def _unexpected() -> str:
    return tr("The process for the network sent something that could not be understood.")
