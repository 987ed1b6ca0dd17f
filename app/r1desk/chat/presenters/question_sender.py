"""Sends questions; those about documents with the passages that the user has agreed to."""

from __future__ import annotations

from collections.abc import Mapping

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
        self.tasks = Tasks(self, self._refuse)
        chat.leaving.connect(self.tasks.cancel_all)
        chat.stopped.connect(self.tasks.cancel_all)
        documents.counter.comparing.connect(self._on_comparing)

    def close(self) -> None:
        """Give what is not sent by now back, to the next window."""
        self.tasks.close()
        super().close()

    def send(self, text: str) -> None:
        """Send a message with its files; passages are shown before they are sent."""
        files = self._documents.draft
        self._files.clear()  # they go with the message
        if self._documents.of_question(files) and not self._chat.opening:
            self._chat.save_draft(text)
        self._ask(text, files)

    @Slot(bool)
    def _on_comparing(self, begins: bool) -> None:
        if begins:  # it takes seconds
            text = tr("Comparing passages with the question…")
            self._window.notices.show_notice(Notice(text, Level.INFO, topic=_COMPARING))
        else:
            self._window.notices.withdraw(_COMPARING)

    def edit(self, message: int, text: str) -> None:
        """Ask a question again with another text."""
        self._ask(text, (), message)

    @task
    async def _ask(self, text: str, files: tuple[Attachment, ...], edited: int = 0) -> None:
        """Find what the answer is given, to be changed, and ask; else the text is given back."""
        among, chat = self._documents.of_question(files), self._chat
        if not among or chat.opening:
            self._send(text, files, None, edited)
            return
        if chat.preparing:  # counting would wait for it
            chat.stop()
        conversation, is_sent = chat.conversation_id, False
        try:
            sources = await self._documents.plan(text, files, None, edited)
            if not sources.whole:
                chosen = await self._choose(sources, among)
                if chosen is None:
                    return
                sources = await self._documents.plan(text, files, chosen, edited)
            is_sent = True
            self._send(text, files, sources, edited)
            chat.save_draft(self._window.composer.text())  # sending has emptied it
            chat.save_draft(self._documents.draft)
        finally:  # also where the user stops it or leaves the chat, and where the window closes
            if not is_sent:
                chat.give_back(conversation, text, files)

    async def _choose(
        self, sources: AnswerSources, among: Mapping[str, str]
    ) -> list[Passage] | None:
        """Show the passages; those that are to be sent, None for no question at all."""
        dialog = PassagesDialog(sources, self._documents, among, self._window)
        try:
            return dialog.chosen() if await accepted(dialog) else None
        finally:
            dialog.close()

    def _send(
        self, text: str, files: tuple[Attachment, ...], sources: AnswerSources | None, edited: int
    ) -> None:
        if edited:
            self._chat.edit(edited, text, sources)
        else:
            self._chat.send(text, files, sources)

    def _refuse(self, error: Exception) -> None:
        self._files.refuse(report_of(error))
