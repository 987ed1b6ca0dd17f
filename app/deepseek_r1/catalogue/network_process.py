"""Downloads models and lists repositories in a child process, which alone parses what servers send.

So the caller's process, the window for instance, never loads the network's libraries. The process
starts with a request and ends with its reply. A download whose process was killed is continued by
the next one, as after a crash.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    NetworkFailure,
    NetworkRequest,
    NetworkResult,
    ProgressReport,
    PullRequest,
    RepositoryListed,
    StopRequest,
    reply_adapter,
)
from deepseek_r1.catalogue.retry_policy import RetryPolicy
from deepseek_r1.core import frames, log
from deepseek_r1.core.child_environment import background_options, child_environment, module_command
from deepseek_r1.core.child_process import (
    ChildProcess,
    FrameReceived,
    ProcessEvent,
    ProcessExited,
    StreamBroken,
    signal_name,
)
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import tr

NETWORK_ARGUMENT: Final = "--network"  # a bundle starts itself with it
NETWORK_MODULE: Final = "deepseek_r1.catalogue.network_worker"
STOP_S: Final = 1.5  # from the request to stop until the process is killed
EXIT_S: Final = 0.4  # for a killed process to end; one that waits for a drive takes longer


@dataclass(frozen=True, slots=True)
class _StopAsked:
    """A stop was requested, by any thread."""


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
        call = _Call(name, failed)
        self._on_started(call.process_id)
        try:
            stop.set_wake(call.ask_to_stop)
            reply = call.run(request, on_progress)
        finally:
            stop.set_wake(None)
            call.end()
            self._on_ended(call.process_id)
        if isinstance(reply, NetworkFailure):
            raise reply.report.error
        return reply


class _Call:
    """One process with its request. For one thread, but for `ask_to_stop`."""

    def __init__(self, name: str, failed: Callable[[str], R1Error]) -> None:
        """Start the process. Raises what `failed` makes."""
        self._name, self._failed = name, failed
        self._events: queue.SimpleQueue[ProcessEvent | _StopAsked] = queue.SimpleQueue()
        self._exited = False
        self._stop_due: float | None = None
        try:
            self._process = ChildProcess(
                module_command(NETWORK_MODULE, NETWORK_ARGUMENT),
                child_environment(network=True),
                reply_adapter,
                self._events.put,
                background_options(),
            )
        except OSError as error:
            detail = tr(
                "The process for the network could not be started: {reason}.", reason=str(error)
            )
            raise failed(detail) from error
        self.process_id = self._process.pid

    def ask_to_stop(self) -> None:
        """End the call soon. Any thread; does not wait."""
        self._events.put(_StopAsked())

    def run(self, request: NetworkRequest, on_progress: ProgressCallback) -> NetworkResult:
        """Send the request and wait for its reply."""
        self._process.send(frames.pack(request, frames.TO_CHILD_CAP))
        while True:
            match self._next_event():
                case _StopAsked() if self._stop_due is None:
                    self._stop_due = time.monotonic() + STOP_S
                    self._process.send(frames.pack(StopRequest(), frames.TO_CHILD_CAP))
                case FrameReceived(reply=ProgressReport(progress=progress)):
                    self._process.frame_handled()
                    on_progress(progress)
                case FrameReceived(reply=reply):
                    self._process.frame_handled()
                    result: NetworkResult = reply
                    return result
                case StreamBroken(error=error):
                    log.models.warning("the network process is ended: %s", error)
                    raise self._failed(_unexpected())
                case ProcessExited(returncode=returncode):
                    raise self._died(returncode)

    def end(self) -> None:
        """End the process, which has nothing to do any more. Waits for a moment at most."""
        self._process.kill()
        due = time.monotonic() + EXIT_S
        while not self._exited:
            try:
                event = self._events.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:  # in the middle of an access to a drive; the kill comes after it
                log.models.warning("the network process %d takes long to end", self.process_id)
                return
            if isinstance(event, FrameReceived):
                self._process.frame_handled()
            self._exited = isinstance(event, ProcessExited)
        self._process.close()

    def _next_event(self) -> ProcessEvent | _StopAsked:
        """Raises DownloadStopped where the process does not stop in time."""
        due = self._stop_due
        try:
            return self._events.get(
                timeout=None if due is None else max(0.0, due - time.monotonic())
            )
        except queue.Empty:
            raise DownloadStopped(file=self._name) from None

    def _died(self, returncode: int) -> R1Error:
        self._exited = True
        if self._stop_due is not None:
            return DownloadStopped(file=self._name)
        log.models.warning("the network process ended (%d): %s", returncode, self._process.stderr)
        how = signal_name(returncode) if returncode < 0 else str(returncode)
        return self._failed(tr("The process for the network ended ({how}).", how=how))


def _unexpected() -> str:
    return tr("The process for the network sent something that could not be understood.")
