"""The process that talks to servers: `python -m deepseek_r1.catalogue.network_worker`.

It carries out one request, reports progress meanwhile, and ends with its reply or with its owner.
It locks itself before it connects: what is left are sockets, the installation, the system's
settings of the network, and for a download the models' folder.
"""

import os
import threading
from pathlib import Path
from typing import BinaryIO

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.file_rules import disk_errors
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.http_source import run_until_stopped
from deepseek_r1.catalogue.hub_listing import list_repository
from deepseek_r1.catalogue.network_process import (
    MAX_ADDRESS,
    FilesPulled,
    ListRequest,
    NetworkRequest,
    PageFetched,
    PageRequest,
    ProgressReport,
    PullRequest,
    RepositoryListed,
    request_adapter,
)
from deepseek_r1.catalogue.partial_file import STAGING, prepare_staging
from deepseek_r1.catalogue.pull import pull
from deepseek_r1.catalogue.web_page import fetch_page
from deepseek_r1.core import frames
from deepseek_r1.core.child_call import ChildFailure
from deepseek_r1.core.errors import EngineStartFailed, R1Error
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import models_folders_file
from deepseek_r1.core.process_lock import LANDLOCK, lock_files, network_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.native.child_start import Child, start_child
from deepseek_r1.native.native_library import native


def main() -> None:
    """Carry out the owner's request."""
    child = start_child(ChildKind.NETWORK)
    body = frames.read(child.source, frames.TO_CHILD_CAP)
    if body is not None:
        stop = Stop()
        watched = (child.source, stop)
        threading.Thread(target=_watch, args=watched, name="owner", daemon=True).start()
        _Work(child, stop).run(frames.parse(body, request_adapter))
    os._exit(0)


def _watch(source: BinaryIO, stop: Stop) -> None:
    """Stop the work at the owner's request, and at its end."""
    try:
        frames.read(source, frames.TO_CHILD_CAP)  # it asks for nothing else
    finally:
        stop.request()


class _Work:
    """The work on one request."""

    def __init__(self, child: Child, stop: Stop) -> None:
        self._child, self._stop = child, stop

    def run(self, request: NetworkRequest) -> None:
        """Carry the request out and send its reply."""
        try:
            if isinstance(request, PullRequest):
                self._child.send(self._pull(request))
            elif isinstance(request, PageRequest):
                self._child.send(self._fetch(request))
            else:
                self._child.send(self._list(request))
        except EngineStartFailed as not_locked:
            self._fail(request.failed(not_locked.sentences()[1]))
        except frames.FrameTooLong:
            self._fail(request.failed(tr("The host's list of files is too long.")))
        except R1Error as error:
            self._fail(error)

    def _fail(self, error: R1Error) -> None:
        self._child.send(ChildFailure(report=error.report()))

    def _pull(self, request: PullRequest) -> FilesPulled:
        folder = Path(request.folder)
        with disk_errors(request.specs[0].file, folder):
            prepare_staging(folder)
        linked = [(folder / spec.file).resolve() for spec in request.specs]
        self._lock_files([models_folders_file(), *linked], [folder, folder / STAGING])
        with HeaderProcess() as headers:
            pulled = pull(
                request.specs,
                folder,
                policy=request.policy,
                on_progress=lambda now: self._child.send(ProgressReport(progress=now)),
                stop=self._stop,
                check=headers.check_file,
            )
        return FilesPulled(sha256=pulled.sha256, new=pulled.new)

    def _list(self, request: ListRequest) -> RepositoryListed:
        self._lock_files([], [])
        listing = list_repository(request.reference, request.policy, self._stop)
        return RepositoryListed(models=listing.models, outline=listing.outline)

    def _fetch(self, request: PageRequest) -> PageFetched:
        path = Path(request.path)
        self._lock_files([], [path.parent])
        fetching = fetch_page(request.address, request.policy)
        page = run_until_stopped(fetching, self._stop, request.address)
        with disk_errors(request.address, path.parent):
            path.write_bytes(page.data)
        return PageFetched(address=page.address[:MAX_ADDRESS])

    def _lock_files(self, reads: list[Path], writes: list[Path]) -> None:
        """Raises EngineStartFailed where the system can lock this process and does not."""
        if LANDLOCK not in self._child.not_locked:
            lock_files([*network_files(), *reads], writes, native().restrict_threads)


if __name__ == "__main__":
    main()
