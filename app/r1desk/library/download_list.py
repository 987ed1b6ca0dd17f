"""Rows for downloads: how far each is, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.arrivals import Phase
from deepseek_r1.core.words import tr
from r1desk.downloads import Download, State
from r1desk.elided import ElidedLabel
from r1desk.layouts import put_inside
from r1desk.library.words import duration_words, size_words
from r1desk.theme import set_role
from r1desk.theme.icons import icon

_STEPS = 1000
_FIRST = (State.RUNNING, State.DONE, State.FAILED, State.PAUSED, State.QUEUED)


class DownloadRow(QFrame):
    """One download. Emits wishes, each with the file's name."""

    pause_requested = Signal(str)
    resume_requested = Signal(str)
    cancel_requested = Signal(str)
    load_requested = Signal(str)

    def __init__(self, file: str) -> None:
        super().__init__()
        set_role(self, "card")
        self.file = file
        self.name = ElidedLabel(file.removesuffix(".gguf"))
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.words = QLabel(textFormat=Qt.TextFormat.PlainText, wordWrap=True)
        set_role(self.words, "dim")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Progress of {file}", file=file))
        self.load_button = QPushButton(tr("Load and chat"))
        set_role(self.load_button, "primary")
        self.load_button.clicked.connect(lambda: self.load_requested.emit(self.file))
        self.pause_button = self._button("pause", tr("Pause"))
        self.pause_button.clicked.connect(lambda: self.pause_requested.emit(self.file))
        self.resume_button = self._button("download", tr("Go on"))
        self.resume_button.clicked.connect(lambda: self.resume_requested.emit(self.file))
        self.cancel_button = self._button("close", tr("Cancel and delete what has come"))
        self.cancel_button.clicked.connect(lambda: self.cancel_requested.emit(self.file))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 6, 8)
        layout.setSpacing(4)
        top = put_inside(layout, QHBoxLayout())
        top.addWidget(self.name, stretch=1)
        for button in (
            self.load_button,
            self.pause_button,
            self.resume_button,
            self.cancel_button,
        ):
            top.addWidget(button)
        layout.addWidget(self.bar)
        layout.addWidget(self.words)

    def _button(self, name: str, text: str) -> QToolButton:
        button = QToolButton(self, icon=icon(name), autoRaise=True)
        button.setIconSize(QSize(18, 18))
        button.setToolTip(text)
        button.setAccessibleName(text)
        return button

    def show_download(self, download: Download) -> None:
        """Show where it stands."""
        state, progress = download.state, download.progress
        self.load_button.setVisible(state is State.DONE)
        self.pause_button.setVisible(state in (State.RUNNING, State.QUEUED))
        self.resume_button.setVisible(state in (State.PAUSED, State.FAILED))
        done = state is State.DONE
        self.cancel_button.setToolTip(
            tr("Take it off the list") if done else tr("Cancel and delete what has come")
        )
        self.cancel_button.setAccessibleName(self.cancel_button.toolTip())
        self.bar.setVisible(not done)
        if progress.total_bytes:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(min(_STEPS, progress.done_bytes * _STEPS // progress.total_bytes))
        else:
            self.bar.setRange(0, 0)
        set_role(self.words, "danger" if state is State.FAILED else "dim")
        self.words.setText(_words(download))


class DownloadList(QWidget):
    """The rows of the downloads, at most `most` of them, those that run first."""

    pause_requested = Signal(str)
    resume_requested = Signal(str)
    cancel_requested = Signal(str)
    load_requested = Signal(str)

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self._most = most
        self.rows: dict[str, DownloadRow] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        self.hide()

    def show_downloads(self, downloads: Sequence[Download]) -> None:
        """Show these; the order asked decides among those in the same state."""
        in_order = sorted(downloads, key=lambda each: _FIRST.index(each.state))
        wanted = {each.order.file: each for each in in_order[: self._most]}
        for file in list(self.rows):
            if file not in wanted:
                row = self.rows.pop(file)
                row.hide()
                row.deleteLater()
        for place, (file, download) in enumerate(wanted.items()):
            if file not in self.rows:
                self.rows[file] = self._new_row(file)
            if self._layout.indexOf(self.rows[file]) != place:
                self._layout.insertWidget(place, self.rows[file])
            self.rows[file].show_download(download)
        self.setVisible(bool(wanted))

    def _new_row(self, file: str) -> DownloadRow:
        row = DownloadRow(file)
        row.pause_requested.connect(self.pause_requested)
        row.resume_requested.connect(self.resume_requested)
        row.cancel_requested.connect(self.cancel_requested)
        row.load_requested.connect(self.load_requested)
        return row


def _words(download: Download) -> str:
    progress = download.progress
    amount = size_words(progress.done_bytes)
    if progress.total_bytes:
        amount = tr("{done} of {total}", done=amount, total=size_words(progress.total_bytes))
    match download.state:
        case State.QUEUED:
            return tr("Waits for the download before it")
        case State.PAUSED:
            return tr("Paused at {amount}", amount=amount)
        case State.DONE:
            if download.order.sha256 is None:
                return tr("Here. No checksum was known to compare it with.")
            return tr("Here, and its checksum is right.")
        case State.FAILED:
            return download.report.text() if download.report is not None else ""
        case State.RUNNING:
            return _running_words(download, amount)


def _running_words(download: Download, amount: str) -> str:
    progress = download.progress
    if progress.phase is Phase.CHECKING:
        return tr("Checking what is here already: {amount}", amount=amount)
    if progress.phase is Phase.WAITING:
        return tr("{detail}. Trying again…", detail=progress.detail)
    if not progress.bytes_s:
        return tr("Connecting…")
    rate = tr("{amount} a second", amount=size_words(round(progress.bytes_s)))
    words = [amount, rate]
    if progress.total_bytes:
        left_s = (progress.total_bytes - progress.done_bytes) / progress.bytes_s
        words.append(tr("{time} left", time=duration_words(left_s)))
    return " · ".join(words)
