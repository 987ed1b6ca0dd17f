"""The processes that read documents; one can be started before there is a document."""

import threading
from contextlib import suppress
from typing import Any, Final

from pydantic import TypeAdapter

from deepseek_r1.core.child_call import ChildCall
from deepseek_r1.core.processes import ChildKind

_MOST_WAITING: Final = 4  # slices
_LEAST_MIB: Final = 64


class SpareReader:
    """Keeps a process ready: starting one takes longer than reading a page. Any thread."""

    def __init__(self, replies: TypeAdapter[Any]) -> None:
        self._replies, self._guard = replies, threading.Lock()
        self._spare: ChildCall | None = None

    @property
    def has_spare(self) -> bool:
        """Whether the next document finds a process that is ready."""
        with self._guard:
            return self._spare is not None and self._spare.idle

    def prepare(self, left_mib: float) -> None:
        """Start a process unless one is ready, or too little memory is left to use it."""
        with self._guard, suppress(OSError):  # `take` will say why none can be started
            if left_mib >= _LEAST_MIB and (self._spare is None or not self._spare.idle):
                self._spare = self._started()

    def take(self) -> ChildCall:
        """The process that is ready, or else a new one. The caller closes it. Raises OSError."""
        with self._guard:
            spare, self._spare = self._spare, None
        if spare is not None and not spare.idle:
            spare.close()
            spare = None
        return spare or self._started()

    def _started(self) -> ChildCall:
        kind = ChildKind.DOCUMENTS
        most = kind.value.memory_mib << 20
        return ChildCall(kind, self._replies, memory_bytes=most, most_waiting=_MOST_WAITING)
