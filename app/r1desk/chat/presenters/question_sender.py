"""Sends questions; those about documents with the passages that the user has agreed to."""

from __future__ import annotations

from collections.abc import Callable

from shiboken6 import isValid

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.documents.document import Passage
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.passages_dialog import PassagesDialog
from r1desk.features import Presenter
from r1desk.store import AnswerSources, Attachment

Planned = Callable[[AnswerSources | None], None]


class QuestionSender(Presenter):
    """Finds what a question is answered from, shows it where it is a part, and sends it."""

    def __init__(
        self,
        window: ChatWindow,
        chat: ChatController,
        documents: ChatDocuments,
        files: AttachmentPresenter,
    ) -> None:
        super().__init__(window)
        self._window, self._chat, self._documents, self._files = window, chat, documents, files

    def send(self, text: str) -> None:
        """Send a message with its files; passages are shown before they are sent."""
        files = self._files.attachments
        self._files.show_stored()  # they go with the message
        if self._documents.of_question(files):
            self._chat.save_draft(text)
        self._ask(text, files, lambda sources: self._chat.send(text, files, sources))

    def edit(self, message: int, text: str) -> None:
        """Ask a question again with another text."""
        self._ask(text, (), lambda sources: self._chat.edit(message, text, sources))

    def _ask(
        self,
        text: str,
        files: tuple[Attachment, ...],
        ask: Callable[[AnswerSources | None], None],
    ) -> None:
        conversation = self._chat.conversation_id

        def planned(sources: AnswerSources | None) -> None:
            if sources is None or self._chat.conversation_id != conversation:
                self._chat.give_back(conversation, text, files)
            else:
                ask(sources)

        if self._documents.of_question(files):
            self._plan(text, files, planned)
        else:
            ask(None)

    def _plan(self, text: str, files: tuple[Attachment, ...], then: Planned) -> None:
        """Find what the answer is given, to be changed; `then(None)` where it is not asked."""

        def found(sources: AnswerSources) -> None:
            if sources.whole or not isValid(self):
                then(sources if isValid(self) else None)
                return
            among = self._documents.of_question(files)
            dialog = PassagesDialog(sources, self._documents, among, self._window)
            dialog.accepted.connect(lambda: plan(then, dialog.chosen()))
            dialog.rejected.connect(lambda: then(None))
            dialog.open()

        def refused(report: ErrorReport) -> None:
            then(None)
            self._files.refuse(report)

        def plan(done: Planned, chosen: list[Passage] | None = None) -> None:
            planning = self._documents.plan(text, files, chosen)
            planning.done.connect(done)
            planning.failed.connect(refused)

        if self._chat.preparing:  # counting would wait for it
            self._chat.stop()
        plan(found)
