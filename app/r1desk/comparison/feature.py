"""Several models answer one question, within the same budget: the dialog, and the page."""

from functools import partial

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QBoxLayout

from deepseek_r1.core.i18n import N_, join_sentences, tr
from deepseek_r1.host.comparison import Candidate, ComparisonPlanned
from r1desk.chat.feature import ChatFeature
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.values.intents import AnswerNow, AskOthers, Intent, OpenLink
from r1desk.comparison.controller import ComparisonController
from r1desk.comparison.widgets.comparison_dialog import ComparisonDialog
from r1desk.comparison.widgets.comparison_page import ComparisonPage
from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.models.pill_presenter import RecentModels
from r1desk.platform.tasks import Tasks, later_turn, task
from r1desk.store import ChatMessage
from r1desk.widgets.layouts import discard
from r1desk.widgets.notice_bar import Level, Notice

_KEY = "models compared last"


class ComparisonFeature(Feature[ChatWindow]):
    """Asks which models, and shows their answers in place of the chat. Main thread."""

    def __init__(
        self, services: Services, models: ModelController, chat: ChatFeature, recent: RecentModels
    ) -> None:
        super().__init__()
        self._services, self._models, self._recent = services, models, recent
        self._chat, self._settings = chat.controller, chat.settings
        self.controller = ComparisonController(services, chat.controller, models, chat.documents)
        self.tasks = Tasks(self)
        self.page: ComparisonPage | None = None
        self._window: ChatWindow  # set by `attach`
        self._last: list[str] = []  # the models that were compared last
        self._chat.comparison_wanted.connect(self._on_wanted)
        self._chat.branch_shown.connect(self._on_branch_shown)
        self.controller.begun.connect(self._on_begun)
        self._read_last()

    @task
    async def _read_last(self) -> None:
        last = await self._services.store.value(_KEY)
        self._last = self._last or (list(map(str, last)) if isinstance(last, list) else [])

    def attach(self, window: ChatWindow) -> None:
        self._window, self.page = window, None
        asks = partial(window.chat.requested.emit, AskOthers())
        window.answer_menu.addAction(tr("Compare models…"), "Ctrl+Shift+M", asks)
        if self.controller.question is not None:
            self._on_begun()

    def close(self) -> None:
        """End all engines."""
        self.controller.quit()

    # ---- the dialog ---------------------------------------------------------------------------

    @task
    async def _on_wanted(self, question: ChatMessage) -> None:
        """Ask which models answer."""
        if self._window.findChild(ComparisonDialog) is not None:
            return  # the keys were pressed twice, before it was there
        models = self._candidates()
        if self._notify_if_busy() or not models:
            return
        dialog = ComparisonDialog(
            self._window,
            question,
            models,
            self.controller,
            place=self._place(question),
            last=self._last,
            no_thinking={
                str(each.path)
                for each in self._recent.items
                if each.header is not None and not each.header.thinks
            },
        )
        dialog.start_wanted.connect(self._on_start)
        await later_turn(dialog)
        dialog.open()

    def _place(self, question: ChatMessage) -> str:
        """Which chat the question goes into, and what each model reads before it."""
        if not self._chat.shown_branch:
            return tr("The question begins a new chat.")
        tokens = self.controller.tokens_before(question)
        if question.id:
            text = N_("The answers go into this chat, below the question.")
        else:
            text = N_("The question goes into this chat.")
        read = tr("Each model first reads the {n:,} tokens before it.", n=tokens) if tokens else ""
        return join_sentences((tr(text), read))

    def _notify_if_busy(self) -> bool:
        """Say it where no comparison can begin now; returns whether that is so."""
        if self.controller.busy:
            text = tr("Wait until the answer is finished or the model has loaded.")
            self._services.notify(Notice(text, Level.INFO))
        return self.controller.busy

    @Slot(object, list, object)
    def _on_start(
        self, question: ChatMessage, candidates: list[Candidate], planned: ComparisonPlanned
    ) -> None:
        if not self._notify_if_busy():  # a load may have begun while the dialog was open
            self._last = asked = [str(each.model) for each in candidates]
            self._services.store.remember_value(_KEY, asked)
            self.controller.begin(question, candidates, planned)

    def _candidates(self) -> list[Candidate]:
        """The models at hand as they would answer in the chat, the chosen one first."""
        sampling, system = self._settings.present
        known, of = [each for each in self._recent.items if each.error is None], self._models
        return [
            Candidate(
                model=path,
                load=of.settings_of(path),
                sampling=sampling,
                system=system,
                chat_template=of.templates.of(path).template,
                name=each.title,
            )
            for each in sorted(known, key=lambda each: each.path != of.path)
            if (path := each.path) is not None
        ]

    # ---- the page -----------------------------------------------------------------------------

    @Slot()
    def _on_begun(self) -> None:
        """Put a page where the chat is; its conversation is about to be shown."""
        of, chat = self.controller, self._window.chat
        discard(self.page)
        centre, question = chat.parentWidget(), of.question
        layout = centre.layout() if centre is not None else None
        if centre is None or question is None or not isinstance(layout, QBoxLayout):
            return
        self.page = page = ComparisonPage(question.content, of.planned.text(), of.columns, centre)
        layout.insertWidget(layout.indexOf(chat), page, stretch=1)
        of.streamed.connect(page.stream)
        of.ended.connect(page.finish)
        page.stopped.connect(of.stop)
        page.chosen.connect(of.continue_with)
        page.left.connect(of.go_back)
        page.requested.connect(self._on_requested)

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[ChatMessage]) -> None:
        question, page = self.controller.question, self.page
        compares = question is not None and question.conversation_id == conversation_id
        for widget in (self._window.chat, self._window.composer):
            widget.setVisible(not compares)
        if page is not None and page.isHidden() == compares:
            page.setVisible(compares)
            (page.columns[0].button if compares else self._window.composer).setFocus()

    @Slot(int, object)
    def _on_requested(self, place: int, intent: Intent) -> None:
        """What changes a message needs its branch: that answer is gone on with first."""
        run, request = self._services.engine.comparison, self._window.chat.requested.emit
        if isinstance(intent, OpenLink):
            request(intent)
        elif isinstance(intent, AnswerNow) and run is not None:
            run.end_thinking(place)
        else:
            once = Qt.ConnectionType.SingleShotConnection
            self._chat.branch_shown.connect(lambda *_branch: request(intent), once)
            self.controller.continue_with(place)
