"""Shows a document beside the chat: its pages as they look, or its text."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PySide6.QtCore import QUrl, Slot
from PySide6.QtGui import QDesktopServices, QGuiApplication

from deepseek_r1.core.i18n import join_list, tr
from deepseek_r1.documents.document import Passage
from deepseek_r1.documents.errors import DocumentRefused
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.page_drawing import PageDrawer
from deepseek_r1.documents.reading import PICTURES, file_sha256
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.messages.document_views import passages_of
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.features import Presenter
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.store import Attachment
from r1desk.widgets.notice_bar import Level, Notice

_COPY = "picture.png"  # of one that was pasted
_DRAWN = PICTURES | {".pdf"}
_VIEWED = frozenset(
    ".pdf .docx .odt .pptx .odp .xlsx .xls .ods .epub .html .htm .xhtml .md .txt .csv".split()  # noqa: SIM905
)


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
        """Show what is in a file, or a passage, with its sentence marked."""
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
        passages, path, copy = await self._documents.ask(_found, sha256)
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
        """Disconnect before the window goes."""
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
