"""The passages that were found for a question, before it is sent: unticked, added to, sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtWidgets import QDialogButtonBox, QHBoxLayout, QListWidget, QListWidgetItem, QWidget

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import join_list, tr, trn
from deepseek_r1.documents.document import Passage
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.messages.top_bars import FindField
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
_TICKED, _PASSAGE = Qt.CheckState.Checked, Qt.ItemDataRole.UserRole


class PassagesDialog(BoundedDialog):
    """Lists passages with a box each; a search adds others."""

    def __init__(
        self,
        sources: AnswerSources,
        documents: ChatDocuments,
        among: Collection[str],
        parent: QWidget,
    ) -> None:
        """`among` are the hashes of all documents that the question is about."""
        super().__init__(parent, tr("Passages for this question"), _SUITED)
        self._documents, self._among = documents, among
        self.tasks = Tasks(self)
        column = self.fill_column(spacing=8)
        text = tr(
            "The documents do not fit into the context, so these passages are sent. Untick what "
            "does not matter, or look for more."
        )
        column.addWidget(text_label(text, "dim"))
        self.list = with_properties(QListWidget(), wordWrap=True, spacing=3)
        self.list.setAccessibleName(tr("Passages"))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemChanged.connect(self._on_changed)
        column.addWidget(self.list, 1)
        row = put_inside(column, QHBoxLayout())
        self.query = FindField(tr("Look for other passages"), self)  # whose Enter sends nothing
        self.query.stepped.connect(self._on_search)
        self.query.escaped.connect(self.reject)
        row.addWidget(self.query, 1)
        row.addWidget(push_button(tr("Find"), self._on_search))
        self.note = text_label("", "dim")
        column.addWidget(self.note)
        kinds = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(kinds.Ok | kinds.Cancel)
        self.send = self.buttons.button(kinds.Ok)
        self.send.setText(tr("Send"))
        set_role(self.send, "primary")
        self.buttons.accepted.connect(self.accept)
        self._add(source.passage for source in sources.sent)
        self.send.setFocus()

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(row) for row in range(self.list.count())]

    def chosen(self) -> list[Passage]:
        """The passages that are ticked, the best first."""
        return [item.data(_PASSAGE) for item in self._items() if item.checkState() is _TICKED]

    def _add(self, passages: Iterable[Passage]) -> int:
        """List passages that are not there yet; returns how many."""
        there = [item.data(_PASSAGE) for item in self._items()]
        new = [each for each in passages if each not in there]
        for each in new:
            label = join_list([each.name, each.place.label()])
            text = " ".join(each.text[: 2 * _SHOWN_CHARACTERS].split())[:_SHOWN_CHARACTERS]
            item = QListWidgetItem(fit.prose(f"{label}\n{text}…"), self.list)
            item.setData(_PASSAGE, each)
            item.setToolTip(fit.plain_tooltip(each.text[:_TOOLTIP_CHARACTERS]))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(_TICKED)
        return len(new)

    @Slot()
    def _on_changed(self) -> None:
        count = len(self.chosen())
        self.send.setText(trn("Send with {n} passage", "Send with {n} passages", count))

    @task
    async def _on_search(self) -> None:
        if not (query := self.query.text().strip()):
            return
        try:
            found = await self._documents.ask(lambda index: index.search(query, self._among))
        except R1Error as refused:
            self.note.setText(str(refused))
            return
        added = self._add(found)
        text = trn("{n} passage was added.", "{n} passages were added.", added)
        self.note.setText(text if added else tr("Nothing else was found."))
        self.list.scrollToBottom()
