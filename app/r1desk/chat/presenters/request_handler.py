"""Carries out what a person asks for in the chat of one window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Slot

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import MessageActions
from r1desk.chat.context.context_overflow import ContextOverflow
from r1desk.chat.context.memory_controller import MemoryController
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.link_dialog import ask_to_open
from r1desk.chat.values import intents
from r1desk.features import Presenter

# After these the next key is for the composer: what was clicked may be gone.
_RETURNING = (
    intents.SendExample
    | intents.Regenerate
    | intents.ContinueAnswer
    | intents.AnswerNow
    | intents.TakeWay
    | intents.MoveMemory
    | intents.BranchOff
    | intents.ReturnToComposer
)


class RequestHandler(Presenter):
    """The one place where an intent of the chat meets what carries it out."""

    def __init__(
        self,
        window: ChatWindow,
        attachments: AttachmentPresenter,
        *,
        chat: ChatController,
        actions: MessageActions,
        overflow: ContextOverflow,
        memory: MemoryController,
        load_model: Callable[[Path], None],
    ) -> None:
        super().__init__(window)
        self._window, self._composer = window, window.composer
        self._attachments, self._chat, self._actions = attachments, chat, actions
        self._overflow, self._memory = overflow, memory
        self._load_model = load_model
        window.chat.requested.connect(self.handle)
        window.composer.requested.connect(self.handle)

    @Slot(object)
    def handle(self, intent: intents.Intent) -> None:  # noqa: PLR0912, PLR0915 - one case for each
        """Carry out an intent."""
        chat, actions, attachments = self._chat, self._actions, self._attachments
        match intent:
            case intents.Send(text):
                chat.send(text, attachments.take())
            case intents.SendExample(text):
                chat.send(text)
            case intents.SaveDraft(text):
                chat.save_draft(text)
            case intents.StopAnswer():
                chat.stop()
            case intents.AnswerNow():
                chat.answer_now()
            case intents.Regenerate(message):
                chat.regenerate(message)
            case intents.ContinueAnswer(message, closes_thinking):
                chat.continue_answer(message, answers_now=closes_thinking)
            case intents.EditQuestion(message, text):
                chat.edit(message, text)
            case intents.EditAnswer(message, text):
                actions.edit_answer(message, text)
            case intents.EditLastQuestion():
                self._window.chat.edit_last()
            case intents.SelectVersion(message, delta):
                chat.select_sibling(message, delta)
            case intents.TakeWay(way):
                self._overflow.choose(way)
            case intents.MoveMemory(turns):
                self._memory.move(turns)
            case intents.Quote(text):
                self._composer.insert_quote(text)
            case intents.BranchOff(message):
                title = tr("Branch of {title}", title=self._window.title.text())
                actions.branch_off(message, title)
            case intents.DeleteMessage(message):
                actions.delete(message)
            case intents.ChooseFiles():
                attachments.choose()
            case intents.AttachFiles(paths):
                attachments.add_paths(paths)
            case intents.RemoveAttachment(place):
                attachments.controller.remove(place)
            case intents.OpenAttachment(attachment):
                attachments.show_text(attachment)
            case intents.OpenLink(address):
                question = tr("The model wrote this link. Open it in your browser?")
                ask_to_open(address, self._window, question)
            case intents.LoadModel(path):
                self._load_model(Path(path))
            case intents.ReturnToComposer():
                pass  # as after others, below
            case _:
                raise NotImplementedError(intent)
        if isinstance(intent, _RETURNING):
            self._composer.setFocus()
