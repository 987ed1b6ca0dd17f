"""Fetches one file in several attempts, each of which continues where the last one ended.

The network code runs in its own event loop, so that a stop interrupts every wait.
"""

import asyncio
import time
from collections import deque

import httpx2

from deepseek_r1.catalogue import http_source
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import (
    DownloadPhase,
    DownloadProgress,
    ProgressCallback,
    RetryPolicy,
)
from deepseek_r1.catalogue.errors import DownloadFailed, SourceRefused
from deepseek_r1.catalogue.file_rules import require_space
from deepseek_r1.catalogue.http_source import (
    CheckedResponse,
    Interrupted,
    RangeGone,
    run_until_stopped,
)
from deepseek_r1.catalogue.partial_file import PartialFile
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import MAGIC

_MOST_RESTARTS = 2
_REPORT_EVERY_S = 0.1
_SPEED_OVER_S = 5.0


class Transfer:
    """The transfer of one file from one address into one partial file."""

    def __init__(
        self, partial: PartialFile, policy: RetryPolicy, on_progress: ProgressCallback
    ) -> None:
        self._partial, self._policy, self._on_progress = partial, policy, on_progress
        self._spec = partial.spec
        self._received = deque(
            [(time.monotonic(), partial.done)], round(_SPEED_OVER_S / _REPORT_EVERY_S)
        )
        self._waiting = False
        self._restarts = 0
        self._failures = 0  # attempts since the last progress
        self._had_progress = False
        self._progress_at = time.monotonic()

    def run(self, stop: Stop) -> None:
        """Fetch the missing bytes. Raises DownloadFailed and its kinds, and OSError."""
        if not self._complete():
            run_until_stopped(self._fetch(), stop, self._spec.file)
        self.on_progress(DownloadPhase.RECEIVING)

    async def _fetch(self) -> None:
        reporting = asyncio.create_task(self._report_progress())
        try:
            async with http_source.client(self._policy, self._spec.file) as http:
                while not self._complete():
                    try:
                        await self._attempt(http)
                    except RangeGone:
                        self._restart()
                    except Interrupted as cut:
                        await self._wait(cut)
        finally:
            reporting.cancel()

    async def _report_progress(self) -> None:
        """Report progress regularly, also while no bytes arrive, so that the shown rate falls."""
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            if not self._waiting:
                self.on_progress(DownloadPhase.RECEIVING)

    async def _attempt(self, http: httpx2.AsyncClient) -> None:
        partial, spec = self._partial, self._spec
        etag = partial.journal.etag
        if partial.done and etag is None and spec.sha256 is None:
            partial.restart()  # without a checksum or an ETag the rest could belong to another file
        async with http_source.fetch(http, spec, self._policy, partial.done, etag) as response:
            skip = self._accept_response(response)
            window_at, window_bytes, new_bytes = time.monotonic(), 0, 0
            async for chunk in response.body:
                data, skip = chunk[skip:], max(0, skip - len(chunk))
                if data:
                    self._append(data, response)
                window_bytes += len(chunk)
                new_bytes += len(data)  # bytes that are here already are no progress
                now = time.monotonic()
                if new_bytes >= self._policy.least_bytes:
                    self._progress_at, self._failures, self._had_progress = now, 0, True
                if now - window_at >= self._policy.stall_s:
                    if window_bytes < self._policy.least_bytes:
                        raise Interrupted(tr("{host} sends almost nothing", host=response.host))
                    window_at, window_bytes, new_bytes = now, 0, 0
        if not self._complete():
            raise Interrupted(tr("the connection to {host} was cut", host=response.host))

    def _accept_response(self, response: CheckedResponse) -> int:
        """Restart if it is another file. Returns how many bytes of the body are present already."""
        partial, spec = self._partial, self._spec
        known = partial.journal.total_bytes if partial.done else None
        total = response.total_bytes or known
        if total is None and spec.size_exact:
            total = spec.size_bytes
        if total is None:
            raise self._refused(response, tr("it does not say how large the file is"))
        if not spec.allows(total):
            detail = tr("its file has {n:,} bytes, which is not the size expected", n=total)
            raise self._refused(response, detail)
        before = partial.journal.etag
        changed = bool(before and response.etag and before != response.etag)
        if spec.sha256 is None and not response.first:  # nothing else would detect another file
            changed = before != response.etag
        if partial.done and (changed or (known is not None and total != known)):
            if response.first:  # the rest of another file
                self._restart()
                raise Interrupted(tr("the file changed meanwhile"), 0.0)
            self._restart()
        partial.set_server_file(total, response.etag)
        require_space(spec.file, partial.staging.parent, total - partial.done)
        return partial.done - response.first

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > _MOST_RESTARTS:
            detail = tr("The file keeps changing on the server.")
            raise DownloadFailed(file=self._spec.file, detail=detail)
        self._partial.restart()

    def _append(self, data: bytes, response: CheckedResponse) -> None:
        partial = self._partial
        begin = partial.done
        if begin + len(data) > (partial.journal.total_bytes or 0):
            raise self._refused(response, tr("it sends more than it announced"))
        if begin < len(MAGIC) and not MAGIC[begin:].startswith(data[: len(MAGIC) - begin]):
            raise self._refused(response, tr("it sends something that is not a GGUF model"))
        partial.write(data)

    async def _wait(self, cut: Interrupted) -> None:
        """Wait before the next attempt, or give up."""
        if self._complete():
            return
        policy = self._policy
        self._failures += 1
        doubled = policy.pause_s * 2 ** min(self._failures - 1, 16)
        pause = min(doubled, policy.longest_pause_s) if cut.wait_s is None else cut.wait_s
        waited = time.monotonic() - self._progress_at
        hopeless = not self._had_progress and self._failures >= policy.first_tries
        if hopeless or waited + pause > policy.give_up_s:
            raise DownloadFailed(
                file=self._spec.file, detail=http_source.sentence(cut.detail)
            ) from cut
        self.on_progress(DownloadPhase.WAITING, cut.detail)
        self._waiting = True
        await asyncio.sleep(pause)
        self._waiting = False

    def _complete(self) -> bool:
        total = self._partial.journal.total_bytes
        return total is not None and self._partial.done == total

    def on_progress(self, phase: DownloadPhase, detail: str = "") -> None:
        partial, now = self._partial, time.monotonic()
        total = partial.journal.total_bytes or self._spec.size_bytes
        began, before = self._received[0]
        self._received.append((now, partial.done))
        receives = phase is DownloadPhase.RECEIVING and partial.done > before
        rate = (partial.done - before) / max(now - began, 0.05) if receives else 0.0
        self._on_progress(
            DownloadProgress(self._spec.file, phase, partial.done, total, rate, detail)
        )

    def _refused(self, response: CheckedResponse, detail: str) -> SourceRefused:
        return SourceRefused(file=self._spec.file, host=response.host, detail=detail)
