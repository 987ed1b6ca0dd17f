"""Runs work in a Python thread of its own; a task awaits what comes of it.

Not Qt's pool: it deletes its runnables in its own threads, and a Python object destroyed there
while the main thread holds Qt's locks, or has moved on, is a crash.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineFailed, R1Error
from r1desk.platform.tasks import Later

P = ParamSpec("P")
Result = TypeVar("Result")
Give = Callable[[Any], None]
_started: list[tuple[threading.Thread, Callable[[], None]]] = []


class _Carrier(QObject):
    """Carries results from a thread to the main thread, in their order.

    It has no parent: to be deleted with one, while the thread emits, is a crash.
    """

    _carried = Signal(object, object)  # this object, which is held so, and what is to be done

    def __init__(self) -> None:
        super().__init__()
        self._carried.connect(self._on_carried, Qt.ConnectionType.QueuedConnection)

    def do(self, deliver: Callable[[], None]) -> None:
        """Do this in the main thread. Any thread."""
        self._carried.emit(self, deliver)

    @Slot(object, object)
    def _on_carried(self, _held: object, deliver: Callable[[], None]) -> None:
        deliver()


def ask_in_background(
    work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
) -> Later[Result]:
    """Call `work` with these values in a thread. Main thread only.

    Awaited, it is the result; raises the R1Error that ended the work, EngineFailed for a bug.
    """
    return give_in_background(lambda give: give(work(*args, **kwargs)))


def stream_in_background(
    work: Callable[P, Iterable[Result]], *args: P.args, **kwargs: P.kwargs
) -> Later[Result]:
    """The same for work with several results, each of which comes as soon as it is there."""

    def give_all(give: Give) -> None:
        for result in work(*args, **kwargs):
            give(result)

    return give_in_background(give_all)


def give_in_background(
    work: Callable[Concatenate[Give, P], None], *args: P.args, **kwargs: P.kwargs
) -> Later[Any]:
    """The same for work that calls what it is given first with each result."""
    results: Later[Any] = Later()
    carrier = _Carrier()

    def run() -> None:
        error: R1Error | None = None
        try:
            work(lambda result: carrier.do(lambda: results.give(result)), *args, **kwargs)
        except R1Error as refused:
            log.window.warning("work beside the window ended: %s", refused)
            error = refused
        except Exception as bug:  # it is reported as one; who waits must not wait on
            error = EngineFailed(detail=f"{type(bug).__name__}: {bug}")
            raise
        finally:
            carrier.do(lambda: results.end(error))

    # What `run` holds is let go here, in the main thread: its thread's may be the last reference.
    _started[:] = [(thread, held) for thread, held in _started if thread.is_alive()]
    thread = threading.Thread(target=run, name="background")
    _started.append((thread, run))
    thread.start()
    return results
