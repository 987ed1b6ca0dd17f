"""Has the loaded model write the title of a conversation, when the user asks for it."""

import json
from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import AnswerDelta, FinishReason, GenerationFinished
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.protocol import GenerateRequest
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.values.prompt import prompt_messages
from r1desk.features import Services
from r1desk.platform.tasks import Tasks, newest_task, report_of
from r1desk.store import Store
from r1desk.widgets.notice_bar import Level, Notice

LONGEST = 10  # the model is asked for eight
_MOST_CHARACTERS = 2_000  # of each of the first messages, where they have to be read
_TOPIC = "title"
_SAMPLING = SamplingSettings(temperature=0.0, max_tokens=96, thinking_budget=0)  # of 80 letters
_SCHEMA = json.dumps({"type": "string", "minLength": 2, "maxLength": 80})


class NoTitle(R1Error):
    """The model said nothing that could be a title."""

    what = N_("The model wrote no title.")
    todo = N_("Rename it yourself: press F2 in the list.")


class TitleWriter(QObject):
    """One title at a time; it gives way to an answer, and Esc ends it. Main thread."""

    written = Signal(int, str)  # the title of a conversation

    def __init__(self, services: Services, chat: ChatController) -> None:
        super().__init__()
        self._services, self._chat = services, chat
        self.tasks = Tasks(self, self._refuse)
        chat.stopped.connect(self.stop)

    @newest_task
    async def start(self, conversation: int) -> None:

        def read(store: Store) -> tuple[Message, ...]:
            branch = store.messages.path(conversation)
            if conversation == self._chat.conversation_id:  # in the cells already
                prompt = store.conversations.settings(conversation).system_prompt
                return prompt_messages(branch, prompt)
            begun = [replace(m, content=m.content[:_MOST_CHARACTERS]) for m in branch[:2]]
            return prompt_messages(begun, "")

        messages = await self._services.store.ask(read)
        instruction = tr(
            "Write a title for this chat, in the language of its messages: at most eight "
            "words, and nothing else."
        )
        request = self._services.engine.submit(
            GenerateRequest,
            messages=(*messages, Message(role=Role.USER, content=instruction)),
            sampling=_SAMPLING,
            json_schema=_SCHEMA,
            yields=True,
        )
        notice = tr("The model is writing a title…")
        self._services.notify(Notice(notice, Level.WORK, {tr("Stop"): self.stop}, topic=_TOPIC))
        text, is_whole = "", False
        try:
            async for event in request:
                match event:
                    case AnswerDelta(text=more):
                        text += more
                    case GenerationFinished(stats=stats):
                        is_whole = stats.finish_reason is not FinishReason.CANCELLED
        finally:
            request.cancel()
            self._services.withdraw(_TOPIC)
        if not is_whole:
            return
        if not (title := title_of(text)):
            raise NoTitle
        self.written.emit(conversation, title)

    @Slot()
    def stop(self) -> None:
        self.tasks.cancel_all()

    def _refuse(self, error: Exception) -> None:
        self._services.notify(Notice(report_of(error).text(), topic=_TOPIC))


def title_of(text: str) -> str:
    """The title in a JSON string, at most `LONGEST` words of it; "" for none."""
    try:
        parts = str(json.loads(text)).split()
    except ValueError:
        return ""
    return " ".join(parts[:LONGEST]).strip(' .。:："“”')
