"""Sends questions; those about documents with passages that are found, or that the user chose."""

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import Slot

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import Passage
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.passages_dialog import PassagesDialog
from r1desk.features import Presenter
from r1desk.platform.tasks import Tasks, report_of, task
from r1desk.store import AnswerSources, Attachment
from r1desk.widgets.bounded_dialog import accepted
from r1desk.widgets.notice_bar import Level, Notice

_COMPARING = "comparing passages"  # a topic of notices


class QuestionSender(Presenter):
    """Finds what a question is answered from, and sends it."""

    def __init__(
        self,
        window: ChatWindow,
        chat: ChatController,
        documents: ChatDocuments,
        files: AttachmentPresenter,
    ) -> None:
        super().__init__(window)
        self._window, self._chat, self._documents, self._files = window, chat, documents, files
        self.tasks = Tasks(self, self._refuse)
        chat.leaving.connect(self.tasks.cancel_all)
        chat.stopped.connect(self.tasks.cancel_all)
        documents.counter.comparing.connect(self._on_comparing)

    def close(self) -> None:
        """Give what is not sent by now back, to the next window."""
        self.tasks.close()
        super().close()

    def send(self, text: str) -> None:
        """Send a message with its files."""
        files = self._documents.draft
        self._files.clear()  # they go with the message
        if self._documents.of_question(files) and not self._chat.opening:
            self._chat.save_draft(text)
        self._ask(text, files)

    @Slot(bool)
    def _on_comparing(self, begins: bool) -> None:
        if begins:  # it takes seconds
            text = tr("Searching the documents…")
            self._window.notices.show_notice(Notice(text, Level.INFO, topic=_COMPARING))
        else:
            self._window.notices.withdraw(_COMPARING)

    def edit(self, message: int, text: str) -> None:
        """Ask a question again with another text."""
        self._ask(text, (), message)

    @task
    async def change_passages(self, answer: int) -> None:
        """Show the passages of an answer, and ask its question again with those that are left."""
        for question, message in pairwise(self._chat.shown_branch):
            if message.id == answer and message.sources is not None:
                chosen = await self._choose(message.sources, question.content)
                if chosen is not None:
                    self._ask(question.content, (), question.id, chosen)
                return

    async def _choose(self, sources: AnswerSources, question: str) -> list[Passage] | None:
        """Show the passages; those that are to be sent, None for no question at all."""
        among = self._documents.of_question(()).keys() - set(sources.documents)
        dialog = PassagesDialog(sources, question, self._documents, among, self._window)
        try:
            return dialog.chosen() if await accepted(dialog) else None
        finally:
            dialog.close()
            self._window.composer.setFocus()

    @task
    async def _ask(
        self,
        text: str,
        files: tuple[Attachment, ...],
        edited: int = 0,
        chosen: Sequence[Passage] | None = None,
    ) -> None:
        """Find what the answer is given, unless it is chosen, and ask; else give the text back."""
        chat = self._chat
        if not self._documents.of_question(files) or chat.opening:
            self._send(text, files, None, edited)
            return
        if chat.preparing:  # counting would wait for it
            chat.stop()
        conversation, is_sent = chat.conversation_id, False
        try:
            sources = await self._documents.plan(text, files, chosen, edited)
            is_sent = True
            self._send(text, files, sources, edited)
            chat.save_draft(self._window.composer.text())  # sending has emptied it
            chat.save_draft(self._documents.draft)
        finally:  # also where the user stops it or leaves the chat, and where the window closes
            if not is_sent and chosen is None:
                chat.give_back(conversation, text, files)

    def _send(
        self, text: str, files: tuple[Attachment, ...], sources: AnswerSources | None, edited: int
    ) -> None:
        self._chat.send(text, files, sources, edited=edited)

    def _refuse(self, error: Exception) -> None:
        self._files.refuse(report_of(error))
