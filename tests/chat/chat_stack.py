"""The chat's controllers on a real store, with the test in the place of the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.documents.index import DocumentIndex
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import MessageActions, UndoHistory
from r1desk.store import Attachment, ChatMessage, Store, StoreFull, StoreThread
from r1desk.store.store_bridge import StoreBridge
from support.awaiting import result_of
from support.engine_double import EngineDouble
from support.models_double import ModelsDouble, SettingsDouble

Result = TypeVar("Result")
CONTEXT = 400  # tokens, of the model that answers


class SmallDisk(StoreThread):
    """A store whose disk can be full; it counts what it was asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.full = False
        self.asked = 0

    def submit(self, work: Callable[[Store], Result]) -> Any:
        self.asked += 1
        return super().submit(self._limited(work))

    def _limited(self, work: Callable[[Store], Result]) -> Callable[[Store], Result]:
        def limited(store: Store) -> Result:
            if self.full:
                raise StoreFull(path=str(self.path))
            return work(store)

        return limited


class ChatStack:
    """The controller of the chat with its store and its engine."""

    def __init__(self, folder: Path) -> None:
        self.disk = SmallDisk(folder / "chats.db")
        self.store = StoreBridge(self.disk)
        self.engine = EngineDouble()
        self.settings = SettingsDouble(SamplingSettings(max_tokens=80), "")
        index, models = DocumentIndex(folder / "documents.db"), ModelsDouble(CONTEXT)
        self.chat = ChatController(self.engine.bridge, self.store, models, self.settings, index)
        self.back: list[str] = []  # texts of messages that were not sent
        self.drafts: list[str] = []  # that were shown again
        self.failures: list[str] = []  # codes of what the disk refused
        self.chat.answers.given_back.connect(lambda text, _files: self.back.append(text))
        self.chat.draft_restored.connect(lambda text, _files: self.drafts.append(text))
        self.chat.pending_writes.failed.connect(lambda report: self.failures.append(report.code))
        self.history = UndoHistory(self.chat)
        self.actions = MessageActions(self.chat, self.history)

    def settle(self) -> None:
        """Until the results of all that the store was asked for have arrived, and what follows.

        The store works in order and its results arrive in order: the last one is ours.
        """
        asked = self.disk.asked + 1
        with suppress(StoreFull):
            result_of(self.store.ask(lambda _store: None))
        if self.disk.asked > asked:
            self.settle()

    def do(self, action: Callable[..., object], *values: object, **more: object) -> None:
        """Have the chat do something, until it is stored."""
        action(*values, **more)
        self.settle()

    def send(self, text: str) -> None:
        """Send a message, until it is stored and the engine knows of it."""
        self.do(self.chat.send, text)

    def answer(self, text: str) -> None:
        """Let the engine say this and end."""
        self.engine.say(text)
        self.finish()

    def exchange(self, question: str, answer: str, *files: Attachment) -> None:
        """A question with files, and its answer."""
        self.do(self.chat.send, question, files)
        self.answer(answer)

    def finish(self, reason: FinishReason = FinishReason.STOP, **stats: Any) -> None:
        """End the answer, until it is stored."""
        self.engine.finish(reason, **stats)
        self.settle()

    def open(self, conversation: int | None) -> None:
        """Show a conversation, or a new one."""
        if conversation is None:
            self.do(self.chat.new_chat)
        else:
            self.do(self.chat.open, conversation)

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
