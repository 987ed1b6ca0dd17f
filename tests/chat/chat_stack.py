"""The chat's controllers on a real store, with the test in the place of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QCoreApplication

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import (
    AnswerDelta,
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    ThinkingDelta,
)
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host import protocol
from deepseek_r1.host.supervisor_events import EngineState, HostEvent, StateChanged
from r1desk.chat.controller import ChatController
from r1desk.chat.message import ChatMessage
from r1desk.engine.bill_reader import BillRequest
from r1desk.engine.engine_bridge import EngineBridge, EngineThread
from r1desk.store import Store, StoreFull, StoreThread
from r1desk.store.store_bridge import StoreBridge
from support.patience import wait_until

Result = TypeVar("Result")
CONTEXT = 400  # tokens, of the model that answers


class Bills:
    """Notes which bills are asked for, and leaves them to the test."""

    def __init__(self) -> None:
        self.asked: list[LoadSettings] = []
        self.requests: list[BillRequest] = []

    def ask(
        self, _path: Path, settings: LoadSettings, _window_mib: float, **_: object
    ) -> BillRequest:
        """As `BillReader.ask`."""
        self.asked.append(settings)
        self.requests.append(BillRequest())
        return self.requests[-1]


class EngineDouble:
    """The real bridge, at whose other end is the test."""

    def __init__(self) -> None:
        self.bridge = EngineBridge()
        self._thread = self.bridge.findChild(EngineThread)
        self.bills = self.bridge.bills = Bills()
        self.received: list[Any] = []
        self._thread.supervisor.post = self.received.append
        self.reply(StateChanged(EngineState.IDLE, ""))

    def of_kind(self, kind: type[Any]) -> list[Any]:
        """The requests of a kind, in their order."""
        return [request for request in self.received if isinstance(request, kind)]

    @property
    def asked(self) -> protocol.GenerateRequest:
        """The answer that was asked for last."""
        return self.of_kind(protocol.GenerateRequest)[-1]

    def reply(self, event: HostEvent) -> None:
        """Let the window hear this at once."""
        self._thread.on_event(event)
        self.bridge._on_text_due()

    def event(self, event: Event) -> None:
        """An event of the answer that was asked for last."""
        self.reply(protocol.EventReply(id=self.asked.id, event=event))

    def say(self, text: str) -> None:
        """The next piece of the answer."""
        self.event(AnswerDelta(text=text))

    def think(self, text: str) -> None:
        """The next piece of the thinking."""
        self.event(ThinkingDelta(text=text, elapsed_s=2.0))

    def finish(self, reason: FinishReason = FinishReason.STOP, **stats: Any) -> None:
        """End the answer."""
        request = self.asked
        self.event(GenerationFinished(stats=GenerationStats(finish_reason=reason, **stats)))
        self.reply(protocol.DoneReply(id=request.id))

    def fail(self, error: R1Error) -> None:
        """End the answer with an error."""
        self.reply(protocol.ErrorReply(id=self.asked.id, report=error.report()))

    def count(self, tokens: Callable[[protocol.CountTokensRequest], int]) -> None:
        """Answer the request to count that came last."""
        request = self.of_kind(protocol.CountTokensRequest)[-1]
        self.reply(protocol.CountTokensReply(id=request.id, tokens=tokens(request)))


class SmallDisk(StoreThread):
    """A store whose disk can be full; it knows whether all its work is done."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.full = False
        self._begun = self._done = 0

    def submit(self, work: Callable[[Store], Result]) -> Any:
        return self._counted(super().submit(self._limited(work)))

    def save_progress(self, message_id: int, content: str, thinking: str = "") -> Any:
        return self.submit(
            lambda store: store.messages.save_progress(message_id, content, thinking)
        )

    @property
    def at_rest(self) -> bool:
        """True while no work waits."""
        return self._begun == self._done

    def _limited(self, work: Callable[[Store], Result]) -> Callable[[Store], Result]:
        def limited(store: Store) -> Result:
            if self.full:
                raise StoreFull(path=str(self._path))
            return work(store)

        return limited

    def _counted(self, future: Any) -> Any:
        self._begun += 1
        future.add_done_callback(lambda _: setattr(self, "_done", self._done + 1))
        return future


class ChatStack:
    """The controller of the chat with its store and its engine."""

    def __init__(self, folder: Path) -> None:
        self.disk = SmallDisk(folder / "chats.db")
        self.store = StoreBridge(self.disk)
        self.engine = EngineDouble()
        self.sampling, self.system_prompt = SamplingSettings(max_tokens=80), ""
        self.chat = ChatController(
            self.engine.bridge,
            self.store,
            lambda: "Model",
            lambda: (self.sampling, self.system_prompt),
            context_length=lambda: CONTEXT,
        )
        self.disk.start()

    def settle(self) -> None:
        """Until the store has done all it was asked for, and what follows from it."""

        def settled() -> bool:
            QCoreApplication.processEvents()
            return self.disk.at_rest

        wait_until(settled)
        QCoreApplication.processEvents()  # the last result
        if not self.disk.at_rest:
            self.settle()

    def send(self, text: str) -> None:
        """Send a message, until it is stored and the engine knows of it."""
        self.chat.send(text)
        self.settle()

    def exchange(self, question: str, answer: str) -> None:
        """A question and its answer."""
        self.send(question)
        self.engine.say(answer)
        self.finish()

    def finish(self, reason: FinishReason = FinishReason.STOP, **stats: Any) -> None:
        """End the answer, until it is stored."""
        self.engine.finish(reason, **stats)
        self.settle()

    def open(self, conversation: int | None) -> None:
        """Show a conversation, or a new one."""
        if conversation is None:
            self.chat.new_chat()
        else:
            self.chat.open(conversation)
        self.settle()

    @property
    def shown(self) -> list[ChatMessage]:
        """The messages on the screen."""
        return self.chat.shown_branch

    @property
    def texts(self) -> list[str]:
        """Their texts."""
        return [message.content for message in self.shown]

    def read(self, work: Callable[[Store], Result]) -> Result:
        """What is on disk."""
        result: Result = self.disk.submit(work).result()
        return result

    def close(self) -> None:
        """End as the application does."""
        self.chat.close()
        self.store.close()
        self.disk.close()


@contextmanager
def chat_stack(folder: Path) -> Iterator[ChatStack]:
    """A chat for as long as the block lasts."""
    stack = ChatStack(folder)
    try:
        yield stack
    finally:
        stack.close()
