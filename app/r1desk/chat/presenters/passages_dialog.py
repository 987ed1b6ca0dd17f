"""The passages that a question was sent with: unticked, added to, and sent again."""

from collections.abc import Collection, Iterable

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtWidgets import QDialogButtonBox, QHBoxLayout, QListWidget, QListWidgetItem, QWidget

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import join_list, tr, trn
from deepseek_r1.documents.document import Passage
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.sources import best_sentence
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.messages.text_finder import FindField
from r1desk.chat.text import display_text as fit
from r1desk.platform.tasks import Tasks, task
from r1desk.store import AnswerSources
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.text_label import push_button, text_label

_SUITED = QSize(720, 520)
_SHOWN_CHARACTERS = 220
_TOOLTIP_CHARACTERS = 1_500
_TICKED, _UNTICKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked
_PASSAGE = Qt.ItemDataRole.UserRole


class PassagesDialog(BoundedDialog):
    """Lists passages with a box each; a search adds others."""

    def __init__(
        self,
        sources: AnswerSources,
        question: str,
        documents: ChatDocuments,
        among: Collection[str],
        parent: QWidget,
    ) -> None:
        """`among` are the hashes of all documents that the question is about."""
        super().__init__(parent, tr("Passages for this question"), _SUITED)
        self._documents, self._among = documents, among
        self.tasks = Tasks(self)
        column = self.fill_column(spacing=8)
        self._question = question
        asked = " ".join(question[:_SHOWN_CHARACTERS].split())
        label = text_label(fit.prose(asked))
        label.setWordWrap(True)
        column.addWidget(label)
        text = tr("Untick what does not matter, or look for more, and ask again with the rest.")
        column.addWidget(text_label(text, "dim"))
        self.list = with_properties(QListWidget(), wordWrap=True, spacing=3)
        self.list.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.list.setAccessibleName(tr("Passages"))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemChanged.connect(self._on_changed)
        self.list.itemPressed.connect(self._on_pressed)
        self.list.itemClicked.connect(self._on_clicked)
        column.addWidget(self.list, 1)
        row = put_inside(column, QHBoxLayout())
        self.query = FindField(tr("Look for other passages"), self)  # whose Enter sends nothing
        self.query.stepped.connect(self._on_search)
        self.query.escaped.connect(self.reject)
        row.addWidget(self.query, 1)
        row.addWidget(push_button(tr("Find"), self._on_search))
        row.addWidget(push_button(tr("Untick all"), self._on_none))
        self.note = text_label("", "dim")
        column.addWidget(self.note)
        kinds = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(kinds.Ok | kinds.Cancel)
        self.send = self.buttons.button(kinds.Ok)
        set_role(self.send, "primary")
        self.buttons.accepted.connect(self.accept)
        self._pressed = _TICKED  # the state of a box before the click
        self._add((source.passage for source in sources.passages()), _TICKED)
        self._on_changed()
        self.query.setFocus()

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(row) for row in range(self.list.count())]

    def chosen(self) -> list[Passage]:
        """The passages that are ticked, the best first."""
        return [item.data(_PASSAGE) for item in self._items() if item.checkState() is _TICKED]

    def _add(self, passages: Iterable[Passage], state: Qt.CheckState) -> int:
        """List passages that are not there yet; returns how many."""
        there = [item.data(_PASSAGE) for item in self._items()]
        new = [each for each in passages if each not in there]
        for each in new:
            label = join_list([each.name, each.place.label()])
            query = f"{self._question} {self.query.text()}"
            text = " ".join(best_sentence(each.text, "", query).split())[:_SHOWN_CHARACTERS]
            item = QListWidgetItem(fit.prose(f"{label}\n{text}"), self.list)
            item.setData(_PASSAGE, each)
            item.setToolTip(fit.plain_tooltip(each.text[:_TOOLTIP_CHARACTERS]))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(state)
        return len(new)

    @Slot()
    def _on_changed(self) -> None:
        count = len(self.chosen())
        self.send.setText(trn("Ask again with {n} passage", "Ask again with {n} passages", count))

    @Slot(QListWidgetItem)
    def _on_pressed(self, item: QListWidgetItem) -> None:
        self._pressed = item.checkState()

    @Slot(QListWidgetItem)
    def _on_clicked(self, item: QListWidgetItem) -> None:
        """A click on the text is one on its box."""
        if item.checkState() is self._pressed:
            item.setCheckState(_UNTICKED if self._pressed is _TICKED else _TICKED)

    @Slot()
    def _on_none(self) -> None:
        for item in self._items():
            item.setCheckState(_UNTICKED)

    @task
    async def _on_search(self) -> None:
        if not (query := self.query.text().strip()):
            return
        try:
            found = await self._documents.ask(DocumentIndex.search, query, self._among)
        except R1Error as refused:
            self.note.setText(str(refused))
            return
        added = self._add(found, _UNTICKED)
        text = trn(
            "{n} passage more: tick what matters.", "{n} passages more: tick what matters.", added
        )
        self.note.setText(text if added else tr("Nothing else was found."))
        self.list.scrollToBottom()
