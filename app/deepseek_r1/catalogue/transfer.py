"""Fetching one file: attempts, waits between them, and going on where the last one ended.

Network work runs in an event loop of its own, so that a stop interrupts whatever it waits for.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine

import httpx

from deepseek_r1.catalogue import source
from deepseek_r1.catalogue.arrivals import Phase, Progress, Tell
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.disk import require_space
from deepseek_r1.catalogue.errors import DownloadFailed, DownloadStopped, SourceRefused
from deepseek_r1.catalogue.half import HalfFile
from deepseek_r1.catalogue.rules import Rules
from deepseek_r1.catalogue.source import Answer, Interrupted, Question, RangeGone
from deepseek_r1.core.words import tr

_MAGIC = b"GGUF"
_MOST_RESTARTS = 2
_TELL_EVERY_S = 0.1
_SPEED_OVER_S = 5.0


class Transfer:
    """One file from one address into one half file."""

    def __init__(self, half: HalfFile, rules: Rules, tell: Tell) -> None:
        self._half, self._rules, self._tell = half, rules, tell
        self._order = half.order
        self._speed = _Speed()
        self._waiting = False
        self._restarts = 0
        self._failures = 0  # attempts since the last progress
        self._had_progress = False
        self._progress_at = time.monotonic()

    def run(self, stop: Stop) -> None:
        """Fetch what is missing. Raises DownloadFailed and its kinds, and OSError."""
        if not self._complete():
            _run_until_stopped(self._fetch(), stop, self._order.file)
        self.tell(Phase.RECEIVING)

    async def _fetch(self) -> None:
        telling = asyncio.create_task(self._tell_regularly())
        try:
            async with source.client(self._rules, self._order.file) as http:
                while not self._complete():
                    try:
                        await self._attempt(http)
                    except RangeGone:
                        self._restart()
                    except Interrupted as cut:
                        await self._wait(cut)
        finally:
            telling.cancel()

    async def _tell_regularly(self) -> None:
        """Also while nothing comes: then the rate falls before one's eyes."""
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            if not self._waiting:
                self.tell(Phase.RECEIVING)

    async def _attempt(self, http: httpx.AsyncClient) -> None:
        half, order = self._half, self._order
        etag = half.journal.etag
        if half.done and etag is None and order.sha256 is None:
            half.restart()  # nothing would tell whether the rest belongs to the same file
        question = Question(order.url, order.file, half.done, etag)
        async with source.ask(http, question, self._rules) as answer:
            skip = self._agree(answer)
            window_at, window_bytes = time.monotonic(), 0
            async for chunk in answer.body:
                data, skip = chunk[skip:], max(0, skip - len(chunk))
                if data:
                    self._take(data, answer)
                window_bytes += len(chunk)
                now = time.monotonic()
                if window_bytes >= self._rules.least_bytes:
                    self._note_progress(now)
                if now - window_at >= self._rules.stall_s:
                    if window_bytes < self._rules.least_bytes:
                        raise Interrupted(tr("{host} sends next to nothing", host=answer.host))
                    window_at, window_bytes = now, 0
        if not self._complete():
            raise Interrupted(tr("the connection to {host} was cut", host=answer.host))

    def _agree(self, answer: Answer) -> int:
        """Begin anew if it is another file; how many of its first bytes are here already."""
        half, order = self._half, self._order
        known = half.journal.total_bytes if half.done else None
        total = answer.total_bytes or known
        if total is None and order.size_exact:
            total = order.size_bytes
        if total is None:
            raise self._refused(answer, tr("it does not say how large the file is"))
        if not order.allows(total):
            detail = tr("its file has {n:,} bytes, which is not the size expected", n=total)
            raise self._refused(answer, detail)
        before = half.journal.etag
        changed = bool(before and answer.etag and before != answer.etag)
        if order.sha256 is None and not answer.first:  # nothing else would find the difference
            changed = before != answer.etag
        if half.done and (changed or (known is not None and total != known)):
            if answer.first:  # a part of another file
                self._restart()
                raise Interrupted(tr("the file changed meanwhile"), 0.0)
            self._restart()
        half.learned(total, answer.etag)
        require_space(order.file, half.staging.parent, total - half.done)
        return half.done - answer.first

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > _MOST_RESTARTS:
            detail = tr("The file changes on the server again and again.")
            raise DownloadFailed(file=self._order.file, detail=detail)
        self._half.restart()

    def _take(self, data: bytes, answer: Answer) -> None:
        half = self._half
        begin = half.done
        if begin + len(data) > (half.journal.total_bytes or 0):
            raise self._refused(answer, tr("it sends more than it said"))
        if begin < len(_MAGIC) and not _MAGIC[begin:].startswith(data[: len(_MAGIC) - begin]):
            raise self._refused(answer, tr("it sends something that is no GGUF model"))
        half.write(data)
        self._speed.add(len(data))

    def _note_progress(self, now: float) -> None:
        self._progress_at, self._failures, self._had_progress = now, 0, True

    async def _wait(self, cut: Interrupted) -> None:
        """Wait before the next attempt, or give up."""
        if self._complete():
            return
        rules = self._rules
        self._failures += 1
        doubled = rules.pause_s * 2 ** min(self._failures - 1, 16)
        pause = min(doubled, rules.longest_pause_s) if cut.wait_s is None else cut.wait_s
        waited = time.monotonic() - self._progress_at
        hopeless = not self._had_progress and self._failures >= rules.first_tries
        if hopeless or waited + pause > rules.give_up_s:
            raise DownloadFailed(file=self._order.file, detail=_sentence(cut.detail)) from cut
        self.tell(Phase.WAITING, cut.detail)
        self._waiting = True
        await asyncio.sleep(pause)
        self._waiting = False

    def _complete(self) -> bool:
        total = self._half.journal.total_bytes
        return total is not None and self._half.done == total

    def tell(self, phase: Phase, detail: str = "") -> None:
        """Say how far it is."""
        half = self._half
        total = half.journal.total_bytes or self._order.size_bytes
        rate = self._speed.bytes_s() if phase is Phase.RECEIVING else 0.0
        self._tell(Progress(self._order.file, phase, half.done, total, rate, detail))

    def _refused(self, answer: Answer, detail: str) -> SourceRefused:
        return SourceRefused(file=self._order.file, host=answer.host, detail=detail)


class _Speed:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._total = 0

    def add(self, count: int) -> None:
        """So many more have come."""
        self._total += count
        now = time.monotonic()
        if now - self._steps[-1][0] >= _TELL_EVERY_S:
            self._steps.append((now, self._total))
        while len(self._steps) > 2 and now - self._steps[0][0] > _SPEED_OVER_S:
            self._steps.popleft()

    def bytes_s(self) -> float:
        """The rate now."""
        began, before = self._steps[0]
        return (self._total - before) / max(time.monotonic() - began, 0.05)


def _sentence(detail: str) -> str:
    return f"{detail[:1].upper()}{detail[1:]}."


def _run_until_stopped(work: Coroutine[None, None, None], stop: Stop, file: str) -> None:
    """Run `work` in a loop of its own until it ends or `stop` is asked for.

    The loop is closed without waiting for its threads: a look-up of a name may take long.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    stop.wakes(lambda: loop.call_soon_threadsafe(task.cancel))
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError as cancelled:
        raise DownloadStopped(file=file) from cancelled
    except KeyboardInterrupt:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        raise
    finally:
        stop.wakes(None)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
