"""Shows a document beside the chat, and a list of the passages that a question was sent with."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PySide6.QtCore import QSize, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QHBoxLayout, QListWidget, QListWidgetItem, QWidget

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import join_list, tr, trn
from deepseek_r1.documents.document import Passage
from deepseek_r1.documents.errors import DocumentRefused
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.page_drawing import PageDrawer
from deepseek_r1.documents.reading import PICTURES, file_sha256
from deepseek_r1.documents.sources import best_sentence
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.messages.document_views import passages_of
from r1desk.chat.messages.text_finder import FindField
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text import display_text as fit
from r1desk.features import Presenter
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import AnswerSources, Attachment
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.notice_bar import Level, Notice
from r1desk.widgets.text_label import push_button, text_label

_COPY = "picture.png"  # of one that was pasted
_DRAWN = PICTURES | {".pdf"}
_VIEWED = frozenset(
    ".pdf .docx .odt .pptx .odp .xlsx .xls .ods .epub .html .htm .xhtml .md .txt .csv".split()  # noqa: SIM905
)
_SUITED = QSize(720, 520)
_SHOWN_CHARACTERS = 220
_TOOLTIP_CHARACTERS = 1_500
_TICKED, _UNTICKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked
_PASSAGE = Qt.ItemDataRole.UserRole


class DocumentPresenter(Presenter):
    """Fills the pane with what is chosen, and lets its pages be drawn."""

    def __init__(self, window: ChatWindow, documents: ChatDocuments) -> None:
        super().__init__(window)
        self._window, self._pane, self._documents = window, window.document, documents
        self.tasks = Tasks(self)
        self._drawer: PageDrawer | None = None
        self._copy: TemporaryDirectory[str] | None = None  # which goes with it
        self._pane.page_wanted.connect(self._draw)
        self._pane.file_wanted.connect(self._on_file_wanted)
        self._pane.copied.connect(self._on_copied)
        self._pane.close_button.clicked.connect(self._on_closed)

    def show(self, shown: Attachment | Passage, sentence: str = "") -> None:
        passage = shown if isinstance(shown, Passage) else None
        self._window.show_document()
        if passage is not None and self._pane.sha256 == passage.sha256:
            self._pane.show_passage(passage, sentence)
            return
        self._end_drawing()
        self._pane.begin(shown.name, shown.sha256)
        if isinstance(shown, Attachment) and not shown.sha256:
            self._pane.show_passages(passages_of(shown.content))
        else:
            self._show_document(shown.sha256, passage, sentence)

    @newest_task
    async def _show_document(self, sha256: str, passage: Passage | None, sentence: str) -> None:
        passages, path, copy = await ask_in_background(_found, self._documents.index, sha256)
        drawn, self._copy = path if copy is None else Path(copy.name, _COPY), copy
        note = "" if passages else tr("This document is no longer here.")
        known = passages or ([passage] if passage is not None and passage.text else [])
        if drawn is not None and drawn.suffix.lower() in _DRAWN:
            recognised = partial(self._documents.index.recognised, sha256)
            self._drawer = PageDrawer(drawn, drawn.name, self._documents.memory, recognised)
        self._pane.show_passages(known, path=path, drawn=self._drawer is not None, note=note)
        if passage is not None:
            self._pane.show_passage(passage, sentence)

    @newest_task
    async def _draw(self, page: int, width_px: int, marked: str) -> None:
        if (drawer := self._drawer) is None:
            return
        try:
            drawn = await ask_in_background(drawer.draw, page, width_px, marked)
        except DocumentRefused as refused:
            self._pane.show_text_instead(str(refused))
            return
        self._pane.show_page(page, drawn)
        for near in (page + 1, page - 1):  # it is there when one turns to it
            if 1 <= near <= self._pane.page.maximum():
                with suppress(DocumentRefused):  # it is shown why once it is wanted
                    await ask_in_background(drawer.draw, near, width_px)

    @Slot(Path)
    def _on_file_wanted(self, path: Path) -> None:
        """Open the file in its own program; its folder where the system would run it."""
        shown = path if path.suffix.lower() in _VIEWED else path.parent
        QDesktopServices.openUrl(QUrl.fromLocalFile(shown))

    @Slot(str, str)
    def _on_copied(self, text: str, place: str) -> None:
        """Put a text into the clipboard with where it is from."""
        source = join_list([self._pane.name, *([place] if place else [])])
        QGuiApplication.clipboard().setText(f"{text.strip()}\n— {source}")
        self._window.notices.show_notice(Notice(tr("Copied, with its source."), Level.INFO))

    def _end_drawing(self) -> None:
        self.tasks.end(self._show_document, self._draw)
        if self._drawer is not None:
            ask_in_background(self._drawer.close)  # it waits for the end of its process
        if self._copy is not None:
            ask_in_background(self._copy.cleanup)
        self._drawer = self._copy = None

    @Slot()
    def _on_closed(self) -> None:
        self._end_drawing()
        self._pane.begin("", "")
        self._window.close_document()

    def close(self) -> None:
        self._end_drawing()
        super().close()


def _found(
    index: DocumentIndex, sha256: str
) -> tuple[list[Passage], Path | None, TemporaryDirectory[str] | None]:
    """The passages of a document, its file where that is still the same, or a copy of it."""
    known = index.document(sha256)
    path = Path(known.path) if known is not None and known.path else None
    try:
        same = path is not None and path.is_file() and file_sha256(path) == sha256
    except DocumentRefused:
        same = False
    copy = None
    if not same and (data := index.file(sha256)):
        copy = TemporaryDirectory(ignore_cleanup_errors=True)
        Path(copy.name, _COPY).write_bytes(data)
    return index.passages(sha256), path if same else None, copy


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
            found = await ask_in_background(
                DocumentIndex.search, self._documents.index, query, self._among
            )
        except R1Error as refused:
            self.note.setText(str(refused))
            return
        added = self._add(found, _UNTICKED)
        text = trn(
            "{n} passage more: tick what matters.", "{n} passages more: tick what matters.", added
        )
        self.note.setText(text if added else tr("Nothing else was found."))
        self.list.scrollToBottom()
