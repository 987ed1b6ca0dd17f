"""Runs work in a Python thread of its own; results come back by signals.

Not Qt's pool: it deletes its runnables in its own threads, and a Python object destroyed there
while the main thread holds Qt's locks, or has moved on, is a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineFailed, ErrorReport, R1Error
from r1desk.platform.tasks import Later, outcome_of

_ENDED = object()  # the last result
_started: list[tuple[threading.Thread, Callable[[], None]]] = []


class BackgroundAnswer(QObject):
    """The results of work in a thread. Its signals are emitted in the main thread.

    It has no parent: to be deleted with one, while the thread emits, is a crash.

    Signals:
        done: a result of the work.
        failed: the report of the R1Error that ended it, or of an EngineFailed for a bug.
        ended: no more results come.
    """

    done = Signal(object)
    failed = Signal(ErrorReport)
    ended = Signal()
    _given = Signal(object, object)  # in the thread: this object, which it holds, and the result

    def __init__(self) -> None:
        super().__init__()
        self._given.connect(self._on_given, Qt.ConnectionType.QueuedConnection)

    def __await__(self) -> Generator[Later[Any], None, Any]:
        """The result. Raises the R1Error that ended the work, EngineFailed for a bug."""
        return outcome_of(self.done, self.failed)

    def abandon(self) -> None:
        """Emit nothing any more: nobody waits for it."""
        self.blockSignals(True)

    def give(self, result: object) -> None:
        """Hand over a result, or an ErrorReport. Any thread."""
        self._given.emit(self, result)

    @Slot(object, object)
    def _on_given(self, _held: object, result: object) -> None:
        if self.signalsBlocked():
            return
        if result is _ENDED:
            self.ended.emit()
        elif isinstance(result, ErrorReport):
            self.failed.emit(result)
        else:
            self.done.emit(result)


def ask_in_background(work: Callable[[], object]) -> BackgroundAnswer:
    """Run `work` in a thread; its result or its R1Error comes as a signal. Main thread only."""

    def once() -> Iterator[object]:
        yield work()

    return stream_in_background(once)


def stream_in_background(work: Callable[[], Iterator[object]]) -> BackgroundAnswer:
    """The same for work with several results, each of which comes as soon as it is there."""

    def give_all(give: Callable[[object], None]) -> None:
        for result in work():
            give(result)

    return give_in_background(give_all)


def give_in_background(work: Callable[[Callable[[object], None]], None]) -> BackgroundAnswer:
    """The same for work that calls what it is given with each result."""
    answer = BackgroundAnswer()

    def run() -> None:
        try:
            work(answer.give)
        except R1Error as error:
            log.window.warning("work beside the window ended: %s", error)
            answer.give(error.report())
        except Exception as error:  # a bug, which is reported as one; who waits must not wait on
            answer.give(EngineFailed(detail=f"{type(error).__name__}: {error}").report())
            raise
        finally:
            answer.give(_ENDED)

    # What `run` holds is let go here, in the main thread: its thread's may be the last reference.
    _started[:] = [(thread, held) for thread, held in _started if thread.is_alive()]
    thread = threading.Thread(target=run, name="background")
    _started.append((thread, run))
    thread.start()
    return answer
