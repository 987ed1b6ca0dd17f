"""Runs store work on the store's thread and brings results back to the main thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot

from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import tr
from r1desk.platform.tasks import Later
from r1desk.store.errors import StoreFailed
from r1desk.store.store import Store, StoreThread

Result = TypeVar("Result")


def report_of(error: Exception) -> ErrorReport:
    """The report of a refusal of the store. Raises the error where it is a bug of ours."""
    if not isinstance(error, R1Error):
        raise error
    return error.report()


class StoreBridge(QObject):
    """Runs store work on the store's thread and brings the result back to the main thread."""

    opened = Signal(object)  # store.Opening
    failed = Signal(object)  # an exception nobody else took
    _finished = Signal(object, object, object)  # then, otherwise, Future

    def __init__(self, store: StoreThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._closed = False
        # Queued: work may be done before anybody could connect, and results come in their order.
        self._finished.connect(self._on_finished, Qt.ConnectionType.QueuedConnection)
        self._watch(store.opened, self.opened.emit, None)

    def call(
        self,
        work: Callable[[Store], Result],
        then: Callable[[Result], None] | None = None,
        otherwise: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do `work` in the store; then `then(result)` here, or `otherwise(error)`."""
        self._watch(self._store.submit(work), then, otherwise)

    def ask(self, work: Callable[[Store], Result]) -> Later[Result]:
        """Do `work` in the store, and await its result."""
        later: Later[Result] = Later()
        self._watch(self._store.submit(work), later.give, later.fail)
        return later

    def run(self, work: Callable[[Store], Result]) -> Result:
        """Do `work` in the store and wait for its result. For a thread that may wait.

        Raises StoreFailed where the application is closing.
        """
        try:
            future = self._store.submit(work)
        except RuntimeError as closed:
            raise StoreFailed(path="", detail=tr("the application is closing")) from closed
        return future.result()

    def close(self) -> None:
        """Deliver no results any more; submitted work is still done."""
        self._closed = True

    def save_progress(
        self,
        message_id: int,
        content: str,
        thinking: str,
        otherwise: Callable[[Exception], None],
    ) -> None:
        """Save what there is of an answer; a slow disk is given only the newest state."""
        future = self._store.save_progress(message_id, content, thinking)
        self._watch(future, None, otherwise)

    def _watch(
        self,
        future: Future[Result],
        then: Callable[[Result], None] | None,
        otherwise: Callable[[Exception], None] | None,
    ) -> None:
        future.add_done_callback(lambda done: self._finished.emit(then, otherwise, done))

    @Slot(object, object, object)
    def _on_finished(
        self,
        then: Callable[[object], None] | None,
        otherwise: Callable[[Exception], None] | None,
        future: Future[object],
    ) -> None:
        if self._closed:
            return
        error = future.exception()
        if error is None:
            if then is not None:
                then(future.result())
        elif otherwise is not None and isinstance(error, Exception):
            otherwise(error)
        else:
            self.failed.emit(error)
