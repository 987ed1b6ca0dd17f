"""Carries out what a person asks for in the chat of one window, and says what became of it."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QKeySequence

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Role
from deepseek_r1.documents.document import Passage
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import MessageActions, UndoableChange
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.context_overflow import ContextOverflow
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.document_presenter import DocumentPresenter, PassagesDialog
from r1desk.chat.presenters.prompt_library import PromptLibrary
from r1desk.chat.values import intents
from r1desk.features import Presenter
from r1desk.platform.tasks import Tasks, task
from r1desk.store import Attachment, ChatMessage
from r1desk.widgets.bounded_dialog import accepted, ask_to_open
from r1desk.widgets.notice_bar import Level, Notice

_COMPARING = "comparing passages"  # a topic of notices

# After these the next key is for the composer: what was clicked may be gone.
_RETURNING = (
    intents.Send
    | intents.Regenerate
    | intents.ContinueAnswer
    | intents.AnswerNow
    | intents.WithdrawQuestion
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
        prompts: PromptLibrary,
        overflow: ContextOverflow,
        documents: ChatDocuments,
        shown_document: DocumentPresenter,
    ) -> None:
        super().__init__(window)
        self._window, self._composer, self._prompts = window, window.composer, prompts
        self._attachments, self._chat, self._actions = attachments, chat, actions
        self._documents, self._shown_document = documents, shown_document
        self.tasks = Tasks(self, documents.files.refuse)
        self._history, self._overflow = actions.history, overflow
        window.chat.requested.connect(self.handle)
        window.composer.requested.connect(self.handle)
        self._answer_now = window.answer_menu.addAction(tr("Answer now"), chat.answers.answer_now)
        self._answer_now.setShortcuts([QKeySequence("Ctrl+Return"), QKeySequence("Ctrl+Enter")])
        undo_text = tr("Undo the last deletion or change")
        undo = window.chats_menu.addAction(undo_text, self._history.undo)
        # The first one where no text box has its own.
        undo.setShortcuts([QKeySequence(QKeySequence.StandardKey.Undo), QKeySequence("Ctrl+Alt+Z")])
        overflow.options_changed.connect(window.chat.show_context_options)
        chat.busy_changed.connect(self._on_busy_changed)
        for ends in (chat.leaving, chat.stopped):
            ends.connect(self.tasks.cancel_all)
        documents.counter.comparing.connect(self._on_comparing)
        self._history.added.connect(self._on_added)
        self._history.undone.connect(self._on_undone)
        self._history.refused.connect(self._on_refused)
        self._on_busy_changed()
        window.chat.show_context_options(overflow.options)

    def close(self) -> None:
        """Give what is not sent by now back, to the next window."""
        self.tasks.close()
        super().close()

    @Slot(object)
    def handle(self, intent: intents.Intent) -> None:  # noqa: PLR0912, PLR0915 - one case for each
        chat, actions, attachments = self._chat, self._actions, self._attachments
        match intent:
            case intents.Send(text):
                self._send(text)
            case intents.SaveDraft(text):
                chat.save_draft(text)
            case intents.StopAnswer():
                is_idle = not self._window.stop_action.isEnabled()
                chat.stop()
                if is_idle and self._window.document.isVisible():
                    self._window.document.close_button.click()
            case intents.WithdrawQuestion(message):
                actions.withdraw(message)
            case intents.AnswerNow():
                chat.answers.answer_now()
            case intents.Regenerate(message):
                chat.regenerate(message)
            case intents.ContinueAnswer(message, closes_thinking):
                chat.continue_answer(message, answers_now=closes_thinking)
            case intents.EditQuestion(message, text):
                self._ask(text, (), message)
            case intents.ChangePassages(message):
                self._change_passages(message)
            case intents.EditAnswer(message, text):
                view = self._window.chat.view(message)
                if not actions.edit_answer(message, text) and view is not None:
                    view.open_editor(text)  # until the answer that is being written has ended
            case intents.EditLastQuestion():
                self._window.chat.edit_last()
            case intents.SelectVersion(message, delta):
                chat.select_sibling(message, delta)
            case intents.TakeWay(way):
                self._overflow.choose(way)
            case intents.MoveMemory(turns):
                actions.move_memory(turns)
            case intents.Quote(text):
                self._composer.insert_quote(text)
            case intents.BranchOff(message):
                actions.branch_off(message)
            case intents.DeleteMessage(message):
                actions.delete(message)
            case intents.SavePrompt(text):
                self._prompts.edit(text)
            case intents.ChooseFiles():
                attachments.choose()
            case intents.AttachFiles(paths):
                attachments.add_paths(paths)
            case intents.AttachText(text):
                self._documents.files.read_text(text)
            case intents.ReadPage(address):
                attachments.add_page(address)
            case intents.AttachPicture(picture):
                attachments.add_picture(picture)
            case intents.OpenAttachment(shown, sentence):
                self._shown_document.show(shown, sentence)
            case intents.OpenLink(address):
                question = tr("This link was written by the model. Open it in your browser?")
                ask_to_open(address, self._window, question)
            case intents.AskOthers(message):
                chat.comparison_wanted.emit(self._question(message))
            case intents.LoadModel(path):
                chat.models.choose(Path(path))
            case intents.ReturnToComposer():
                pass  # as after others, below
            case _:
                raise NotImplementedError(intent)
        if isinstance(intent, _RETURNING):
            self._composer.setFocus()

    def _question(self, answer: int) -> ChatMessage:
        """What is asked: the message above an answer, or what is in the composer."""
        if position := self._chat.position(answer):
            return self._chat.shown_branch[position - 1]
        self._composer.flush_draft()  # now, so that it goes with the question
        files = self._documents.draft
        return ChatMessage(0, Role.USER, self._composer.text(), attachments=files)

    # ---- questions ----------------------------------------------------------------------------

    def _send(self, text: str) -> None:
        files = self._documents.draft
        self._attachments.clear()  # they go with the message
        if self._documents.of_question(files) and not self._chat.opening:
            self._chat.save_draft(text)
        self._ask(text, files)

    @task
    async def _change_passages(self, answer: int) -> None:
        """Show the passages of an answer, and ask its question again with those that are left."""
        position = self._chat.position(answer)
        if not position or (sources := self._chat.shown_branch[position].sources) is None:
            return
        question = self._chat.shown_branch[position - 1]
        among = self._documents.of_question(()).keys() - set(sources.documents)
        dialog = PassagesDialog(sources, question.content, self._documents, among, self._window)
        try:
            if await accepted(dialog):
                self._ask(question.content, (), question.id, dialog.chosen())
        finally:
            dialog.close()
            self._composer.setFocus()

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
            chat.send(text, files, edited=edited)
            return
        if chat.preparing:  # counting would wait for it
            chat.stop()
        conversation, is_sent = chat.conversation_id, False
        try:
            sources = await self._documents.plan(text, files, chosen, edited)
            is_sent = True
            chat.send(text, files, sources, edited=edited)
            chat.save_draft(self._window.composer.text())  # sending has emptied it
            chat.save_draft(self._documents.draft)
        finally:  # also where the user stops it or leaves the chat, and where the window closes
            if not is_sent and chosen is None:
                chat.give_back(conversation, text, files)

    @Slot(bool)
    def _on_comparing(self, begins: bool) -> None:
        if begins:  # it takes seconds
            text = tr("Searching the documents…")
            self._window.notices.show_notice(Notice(text, Level.INFO, topic=_COMPARING))
        else:
            self._window.notices.withdraw(_COMPARING)

    # ---- what became of it --------------------------------------------------------------------

    @Slot()
    def _on_busy_changed(self) -> None:
        self._answer_now.setEnabled(self._chat.answer is not None and self._chat.busy_here)

    @Slot(object)
    def _on_added(self, change: UndoableChange) -> None:
        self._notify(change.text, can_undo=True)
        self._composer.setFocus()

    @Slot(object)
    def _on_undone(self, change: UndoableChange) -> None:
        """Name the change: its own notice may have gone long ago."""
        self._window.notices.withdraw(change.text)
        self._notify(change.undone)

    @Slot(object, object)
    def _on_refused(self, change: UndoableChange, report: ErrorReport) -> None:
        """Take the word back, and offer to try again."""
        self._window.notices.withdraw(change.undone)
        text = f"{tr('Could not undo: {change}', change=change.text)}\n{report.text()}"
        self._notify(text, Level.ERROR, can_undo=True)

    def _notify(self, text: str, level: Level = Level.INFO, *, can_undo: bool = False) -> None:
        undo = {tr("Undo"): self._history.undo} if can_undo else {}
        self._window.notices.show_notice(Notice(text, level, undo))
