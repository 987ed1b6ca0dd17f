"""Questions to the engine from threads that plan a prompt, which wait for the answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

from deepseek_r1.core.errors import EngineFailed, ErrorReport
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.passages import estimated_tokens
from deepseek_r1.host.protocol import SimilaritiesRequest
from r1desk.chat.context.token_counter import Counting, TokenCounter
from r1desk.engine.engine_bridge import EngineRequest

_COUNT_S = 20.0  # the engine may be busy
_Answer = SimpleQueue[Any]  # gets what the engine says, or None


class EngineQuestions(QObject):
    """Asks in the main thread, which has the engine; its calls are for any other thread.

    Signals:
        comparing: passages are compared with a question, or not any more.
    """

    comparing = Signal(bool)
    _wanted = Signal(object, object)  # what asks the engine, and an _Answer

    def __init__(self, counter: TokenCounter) -> None:
        super().__init__()
        self._counter = counter
        self._waiting: set[_Answer] = set()
        self._closed = False
        self._wanted.connect(self._on_wanted, Qt.ConnectionType.QueuedConnection)

    def close(self) -> None:
        """End what waits. Main thread."""
        self._closed = True
        for answer in tuple(self._waiting):
            answer.put(None)

    def count_tokens(self, text: str) -> int:
        """The tokens of a message: of the loaded model where it is free, else estimated."""

        def ask(answer: _Answer) -> None:
            def counting() -> Counting:
                try:
                    answer.put((yield (Message(role=Role.USER, content=text),)))
                finally:  # also where the engine gave the count up
                    answer.put(None)

            if self._counter.available:
                self._counter.run(counting())
            else:
                answer.put(None)

        tokens = self._result(ask, _COUNT_S)
        return estimated_tokens(text) if tokens is None else int(tokens)

    def similarities(self, question: str, passages: tuple[str, ...]) -> tuple[float, ...]:
        """The similarity of each passage to a question, by the embedding model. Raises R1Error."""

        def ask(answer: _Answer) -> None:
            fields = {"question": question, "passages": passages}
            request = self._counter.engine.submit(SimilaritiesRequest, **fields)
            request.done.connect(lambda reply: end(answer, reply.values))
            request.failed.connect(lambda report: end(answer, report))
            self.comparing.emit(True)

        def end(answer: _Answer, result: object) -> None:
            self.comparing.emit(False)
            answer.put(result)

        found = self._result(ask)
        if found is None:
            raise EngineFailed(detail=tr("the engine was closed"))
        if isinstance(found, ErrorReport):
            raise found.error
        return tuple(found)

    def lend(self, lend: Callable[[float], EngineRequest | None], mib: float) -> bool:
        """Let the model's weights have so much less; returns whether they do. Raises R1Error."""

        def ask(answer: _Answer) -> None:
            if (request := lend(mib)) is None:
                answer.put(None)
                return
            request.done.connect(answer.put)
            request.failed.connect(answer.put)

        found = self._result(ask)
        if isinstance(found, ErrorReport):
            raise found.error
        return found is not None

    def _result(self, ask: Callable[[_Answer], None], timeout_s: float | None = None) -> Any:
        """What `ask` puts into its queue; None where nothing came."""
        answer: _Answer = SimpleQueue()
        self._waiting.add(answer)
        found = None
        if not self._closed:
            self._wanted.emit(ask, answer)
            with suppress(Empty):
                found = answer.get(timeout=timeout_s)
        self._waiting.discard(answer)
        return found

    @Slot(object, object)
    def _on_wanted(self, ask: Callable[[_Answer], None], answer: _Answer) -> None:
        ask(answer)
