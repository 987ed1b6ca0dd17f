"""Runs store work on the store's thread and brings results back to the main thread."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot

from deepseek_r1.core.i18n import tr
from r1desk.platform.tasks import Later, Tasks, task
from r1desk.store.errors import StoreFailed
from r1desk.store.store import Store, StoreThread, StoreWork

P = ParamSpec("P")
Result = TypeVar("Result")


class StoreBridge(QObject):
    """Runs store work on the store's thread and brings the result back to the main thread."""

    opened = Signal(object)  # store.Opening
    failed = Signal(object)  # an exception nobody else took
    _finished = Signal(object, object)  # who awaits it or None, Future

    def __init__(self, store: StoreThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._closed = False
        self.tasks = Tasks(self, self.failed.emit)
        # Queued: work may be done before anybody could connect, and results come in their order.
        self._finished.connect(self._on_finished, Qt.ConnectionType.QueuedConnection)
        self._wait_until_open()

    @task
    async def _wait_until_open(self) -> None:
        self.opened.emit(await self._result_of(self._store.opened))

    def call(self, work: StoreWork[object]) -> None:
        """Do `work` in the store; nobody awaits it, and `failed` has its error."""
        self._watch(self._store.submit(work), None)

    def remember(self, change: StoreWork[object]) -> None:
        """Keep what nobody asked for, where the profile can be written."""
        self.call(lambda store: change(store) if store.writable else None)

    def remember_value(self, key: str, value: object) -> None:
        self.remember(lambda store: store.key_value.set(key, value))

    def value(self, key: str) -> Later[Any]:
        return self.ask(lambda store: store.key_value.get(key))

    def ask(
        self, work: Callable[Concatenate[Store, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Later[Result]:
        """Do `work` with these values in the store, and await its result."""
        return self._result_of(self._store.submit(lambda store: work(store, *args, **kwargs)))

    def run(self, work: StoreWork[Result]) -> Result:
        """Do `work` in the store and wait for its result. For a thread that may wait.

        Raises StoreFailed where the application is closing.
        """
        try:
            future = self._store.submit(work)
        except RuntimeError as closed:
            raise StoreFailed(path="", detail=tr("R1 Desk is closing")) from closed
        return future.result()

    def close(self) -> None:
        """Deliver no results any more; submitted work is still done."""
        self._closed = True

    def _result_of(self, future: Future[Result]) -> Later[Result]:
        later: Later[Result] = Later()
        self._watch(future, later)
        return later

    def _watch(self, future: Future[Result], later: Later[Result] | None) -> None:
        future.add_done_callback(lambda done: self._finished.emit(later, done))

    @Slot(object, object)
    def _on_finished(self, later: Later[object] | None, future: Future[object]) -> None:
        if self._closed:
            return
        error = future.exception()
        if error is not None:
            (self.failed.emit if later is None else later.end)(error)
        elif later is not None:
            later.give(future.result())
