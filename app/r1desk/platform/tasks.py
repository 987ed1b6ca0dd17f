"""Waits for results in the window's thread, in the order in which the work is written.

What is under way belongs to an owner and ends with it: a cancelled task never comes back. It is not
asyncio, whose loop the window would carry for this alone (docs/experiments.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from functools import partial, wraps
from inspect import CORO_RUNNING, getcoroutinestate, signature
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar
from weakref import WeakSet

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from shiboken6 import isValid

from deepseek_r1.core.errors import EngineFailed, ErrorReport, R1Error
from deepseek_r1.core.i18n import tr

P = ParamSpec("P")
Result = TypeVar("Result")
Work = Coroutine[Any, Any, Result]
Method = Callable[Concatenate[Any, P], Work[None]]
Starting = Callable[Concatenate[Any, P], object]  # begins the method as a task


def report_of(error: Exception) -> ErrorReport:
    """The report of a refusal. Raises the error where it is a bug of ours."""
    if not isinstance(error, R1Error):
        raise error
    return error.report()


class Later(Generic[Result]):
    """A result that is not there yet, or several that come one by one. Main thread.

    One task takes it by `await`, or them by `async for`.
    """

    def __init__(self) -> None:
        self._there: deque[Result] = deque()
        self._is_over = False
        self._error: BaseException | None = None
        self.go_on: Callable[[], object] = lambda: None  # of the task that waits

    def give(self, result: Result) -> None:
        """This is the result, or the next one."""
        self._there.append(result)
        self.go_on()

    def end(self, error: BaseException | None = None) -> None:
        """No result comes any more: whoever waits for one meets this error."""
        self._is_over, self._error = True, error
        self.go_on()

    def __await__(self) -> Generator[Later[Any], None, Result]:
        while not self._there and not self._is_over:
            yield self
        if self._there:
            return self._there.popleft()
        raise self._error or StopAsyncIteration

    def __aiter__(self) -> Later[Result]:
        return self

    async def __anext__(self) -> Result:
        return await self


def later_turn(owner: QObject, after_ms: int = 1) -> Later[None]:
    """A later turn of the event loop, if `owner` still lives: keys and clicks come first.

    With 0 ms Qt would post an event, and handle it before it looks for keys and clicks.
    """
    later: Later[None] = Later()
    QTimer.singleShot(after_ms, owner, lambda: later.give(None))
    return later


_all: WeakSet[Tasks] = WeakSet()


def cancel_everything() -> None:
    """End the tasks of all owners: the application ends, and nothing comes any more."""
    for tasks in tuple(_all):
        if isValid(tasks):
            tasks.cancel_all()


class Tasks(QObject):
    """The tasks of one owner. Main thread, where nothing else is said.

    An error that ends a task goes to `refused`, which raises what is a bug of ours; without one
    a refusal only ends the task.
    """

    _wanted = Signal(object, object)  # work from another thread, and the Future of its result

    def __init__(self, owner: QObject, refused: Callable[[Exception], object] = report_of) -> None:
        super().__init__(owner)
        _all.add(self)
        self._refused = refused
        self._running: list[Work[Any]] = []
        self._newest: dict[str, object] = {}  # tasks by the names of their methods
        self._waiting: set[Future[Any]] = set()
        self._closed = False
        self._wanted.connect(self._on_wanted, Qt.ConnectionType.QueuedConnection)

    def start(self, work: Work[Any]) -> object:
        """Begin at once, up to the first result that is not there yet; `cancel` takes the same."""
        self._running.append(work)
        self._go_on(work)
        return work

    def cancel(self, work: object) -> None:
        """End a task where it waits; one that has ended, or that asks for this, goes on."""
        for known in [each for each in self._running if each is work]:
            if getcoroutinestate(known) != CORO_RUNNING:
                self._running.remove(known)
                known.close()

    def end(self, *methods: Callable[..., object]) -> None:
        """Cancel what is under way of these, which are each a `newest_task`."""
        for method in methods:
            self.cancel(self._newest.get(method.__name__))

    def start_newest(self, name: str, work: Work[None]) -> object:
        """Begin in place of what is under way by this name."""
        self.cancel(self._newest.get(name))
        self._newest[name] = work
        return self.start(work)

    @Slot()
    def cancel_all(self) -> None:
        """End all tasks where they wait."""
        for work in tuple(self._running):
            self.cancel(work)

    @Slot()
    def close(self) -> None:
        """End all tasks, and whoever waits for one in another thread."""
        self._closed = True
        self.cancel_all()
        for answer in tuple(self._waiting):
            _give_up(answer)

    def _go_on(self, work: Work[Any]) -> None:
        if work not in self._running or getcoroutinestate(work) == CORO_RUNNING:
            return  # it has ended, or finds the result itself
        if not isValid(self):  # the owner has gone
            self.cancel(work)
            return
        try:
            later = work.send(None)
        except StopIteration:
            self._running.remove(work)
        except Exception as error:  # noqa: BLE001 - what is a bug is raised again
            self._running.remove(work)
            self._refused(error)
        else:
            later.go_on = partial(self._go_on, work)

    # ---- for other threads ------------------------------------------------------------------

    def result_of(self, work: Work[Result], timeout_s: float | None = None) -> Result:
        """Have it done in the main thread, and wait for its result. Any other thread.

        Raises what the work raises, EngineFailed where the window closes, TimeoutError.
        """
        answer: Future[Result] = Future()
        self._waiting.add(answer)
        try:
            if self._closed:
                work.close()
                _give_up(answer)
            else:
                self._wanted.emit(work, answer)
            return answer.result(timeout_s)
        finally:
            self._waiting.discard(answer)

    @Slot(object, object)
    def _on_wanted(self, work: Work[Any], answer: Future[Any]) -> None:
        if self._closed:
            work.close()
        else:
            self.start(_answer(work, answer))


def task(method: Method[P]) -> Starting[P]:
    """A method that is a task of its object's `tasks`; calling it begins one.

    A slot only where it takes no values, or all of the signal.
    """
    return _starting(method)


def newest_task(method: Method[P]) -> Starting[P]:
    """The same, of which one is under way at a time: the next call ends it, as `Tasks.end`."""
    return _starting(method, method.__name__)


def _starting(method: Method[P], newest: str = "") -> Starting[P]:
    def start_with(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> object:
        work, tasks = method(self, *args, **kwargs), self.tasks
        return tasks.start_newest(newest, work) if newest else tasks.start(work)

    def start_alone(self: Any) -> object:  # Qt passes it no values
        return start_it(self)

    start_it: Any = start_with
    begin: Any = start_alone if len(signature(method).parameters) == 1 else start_it
    starting: Starting[P] = wraps(method)(begin)
    return starting


async def _answer(work: Work[Result], answer: Future[Result]) -> None:
    try:
        answer.set_result(await work)
    except Exception as error:  # noqa: BLE001 - it is raised where the result is waited for
        answer.set_exception(error)


def _give_up(answer: Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(EngineFailed(detail=tr("the engine was closed")))
