"""The store's own thread: work is done in the order in which it was submitted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deepseek_r1.core import log
from r1desk.store.records import Opening
from r1desk.store.store import Store

Result = TypeVar("Result")


@dataclass(slots=True)
class _Job:
    work: Callable[[Store], Any]
    future: Future[Any]
    progress_of: int | None = None  # the message, if this saves the progress of one


class StoreThread(threading.Thread):
    """Opens the store of `path` and owns it until `close`.

    `opened` is done when the store is ready, and holds the `StoreError` if it never will be; then
    every submitted future fails with the same error.
    """

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        super().__init__(name="store", daemon=False)
        self.opened: Future[Opening] = Future()
        self._path = path
        self._vfs = vfs
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False

    def submit(self, work: Callable[[Store], Result]) -> Future[Result]:
        """Do `work` in the store's thread, after all that was submitted before."""
        future: Future[Result] = Future()
        with self._changed:
            self._put(_Job(work, future))
        return future

    def save_progress(self, message_id: int, content: str, thinking: str = "") -> Future[bool]:
        """Save what there is of an answer.

        If an earlier state of the same answer still waits, the newer one takes its place: a slow
        disk is not given every state between.
        """

        def work(store: Store) -> bool:
            return store.messages.save_progress(message_id, content, thinking)

        with self._changed:
            waiting = next((job for job in self._jobs if job.progress_of == message_id), None)
            if waiting is None:
                waiting = _Job(work, Future(), progress_of=message_id)
                self._put(waiting)
            waiting.work = work
            future: Future[bool] = waiting.future
        return future

    def _put(self, job: _Job) -> None:
        if self._closing:
            raise RuntimeError("the store is closed")
        self._jobs.append(job)
        self._changed.notify()

    def close(self, timeout_s: float | None = None) -> bool:
        """Finish what was submitted, close the store and end. False if it took too long."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self.ident is None:
            return True
        self.join(timeout_s)
        return not self.is_alive()

    def run(self) -> None:
        """Open, work, close. Called by `start`."""
        try:
            store = Store(self._path, vfs=self._vfs)
        except Exception as problem:  # noqa: BLE001 - handed to whoever waits for it
            self.opened.set_exception(problem)
            self._refuse(problem)
            return
        self.opened.set_result(store.opening)
        try:
            while (job := self._next()) is not None:
                _do(job, store)
        finally:
            store.close()

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._jobs and not self._closing:
                self._changed.wait()
            return self._jobs.popleft() if self._jobs else None

    def _refuse(self, problem: Exception) -> None:
        """Fail all work until `close`."""
        while (job := self._next()) is not None:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(problem)


def _do(job: _Job, store: Store) -> None:
    if not job.future.set_running_or_notify_cancel():
        return
    try:
        result = job.work(store)
    except Exception as problem:  # noqa: BLE001 - handed to whoever waits for it
        log.store.warning("work for the store failed: %s", type(problem).__name__)
        job.future.set_exception(problem)
    else:
        job.future.set_result(result)
