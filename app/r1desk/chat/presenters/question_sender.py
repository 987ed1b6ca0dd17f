"""Sends questions; those about documents with the passages that the user has agreed to."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Slot
from shiboken6 import isValid

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import Passage
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.passages_dialog import PassagesDialog
from r1desk.features import Presenter
from r1desk.store import AnswerSources, Attachment
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
        documents.engine.comparing.connect(self._on_comparing)

    def send(self, text: str) -> None:
        """Send a message with its files; passages are shown before they are sent."""
        files = self._documents.draft
        self._files.clear()  # they go with the message
        if self._documents.of_question(files) and not self._chat.opening:
            self._chat.save_draft(text)
        self._ask(text, files, lambda sources: self._chat.send(text, files, sources))

    @Slot(bool)
    def _on_comparing(self, begins: bool) -> None:
        if begins:  # it takes seconds
            text = tr("Comparing passages with the question…")
            self._window.notices.show_notice(Notice(text, Level.INFO, topic=_COMPARING))
        else:
            self._window.notices.withdraw(_COMPARING)

    def edit(self, message: int, text: str) -> None:
        """Ask a question again with another text."""
        self._ask(text, (), lambda sources: self._chat.edit(message, text, sources), message)

    def _ask(
        self,
        text: str,
        files: tuple[Attachment, ...],
        ask: Callable[[AnswerSources | None], None],
        edited: int = 0,
    ) -> None:
        """Find what the answer is given, to be changed, and ask; else the text is given back."""
        among, conversation = self._documents.of_question(files), self._chat.conversation_id
        if not among or self._chat.opening:
            ask(None)
            return
        if self._chat.preparing:  # counting would wait for it
            self._chat.stop()
        asked = self._chat.visit, self._chat.stops

        def is_wanted() -> bool:
            return isValid(self) and asked == (self._chat.visit, self._chat.stops)

        def plan(
            then: Callable[[AnswerSources], None], chosen: list[Passage] | None = None
        ) -> None:
            planning = self._documents.plan(text, files, chosen, edited)
            planning.done.connect(then)
            planning.failed.connect(give_back)

        def show(sources: AnswerSources) -> None:
            if sources.whole or not is_wanted():
                finish(sources)
                return
            dialog = PassagesDialog(sources, self._documents, among, self._window)
            dialog.accepted.connect(lambda: plan(finish, dialog.chosen()))
            dialog.rejected.connect(give_back)
            dialog.open()

        def finish(sources: AnswerSources) -> None:
            if is_wanted():
                ask(sources)
                self._chat.save_draft(self._window.composer.text())  # sending has emptied it
                self._chat.save_draft(self._documents.draft)
            else:
                give_back()

        def give_back(refusal: ErrorReport | None = None) -> None:
            self._chat.give_back(conversation, text, files)
            if refusal is not None and isValid(self):
                self._files.refuse(refusal)

        plan(show)
