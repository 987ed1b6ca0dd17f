"""Lists downloads with their progress and their buttons."""

from collections.abc import Sequence
from enum import Enum, auto

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.download_spec import DownloadPhase, other_source
from deepseek_r1.catalogue.known_models import find_draft
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from r1desk.chat.values.duration import price_text
from r1desk.models.downloads import Download, DownloadState
from r1desk.theme import explain, set_role
from r1desk.widgets.layouts import discard, filled, put_inside
from r1desk.widgets.text_label import ElidedLabel, call_with, text_label, tool_button

_STEPS = 1000
_ORDER = (
    DownloadState.RUNNING,
    DownloadState.DONE,
    DownloadState.FAILED,
    DownloadState.PAUSED,
    DownloadState.QUEUED,
)


class DownloadAction(Enum):
    """A button of a download."""

    LOAD = auto()
    PAUSE = auto()
    RESUME = auto()
    OTHER_SOURCE = auto()
    DELETE = auto()
    DISMISS = auto()


class DownloadRow(QFrame):
    """One download. Its buttons ask with the file's name."""

    requested = Signal(object, str)  # the `DownloadAction` and the file's name

    def __init__(self, file: str) -> None:
        super().__init__()
        set_role(self, "card")
        self.file = file
        self.name = ElidedLabel(file.removesuffix(".gguf"))
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.status = text_label("", "dim")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Progress of {file}", file=file))
        self.load_button = QPushButton(tr("Load and chat"))
        set_role(self.load_button, "primary")
        self.pause_button = QPushButton(tr("Pause"))
        self.resume_button = QPushButton(tr("Resume"))
        self.other_button = QPushButton()
        self.delete_button = QPushButton(tr("Delete…"))
        self.dismiss_button = tool_button("close", tr("Hide; the file is kept"))
        self.dismiss_button.setIconSize(QSize(18, 18))
        layout = filled(QVBoxLayout(self), spacing=4, margins=(10, 6, 6, 8))
        top = put_inside(layout, QHBoxLayout())
        top.addWidget(self.name, stretch=1)
        for button, action in (
            (self.load_button, DownloadAction.LOAD),
            (self.pause_button, DownloadAction.PAUSE),
            (self.resume_button, DownloadAction.RESUME),
            (self.other_button, DownloadAction.OTHER_SOURCE),
            (self.delete_button, DownloadAction.DELETE),
            (self.dismiss_button, DownloadAction.DISMISS),
        ):
            call_with(button.clicked, self.requested.emit, action, file)
            top.addWidget(button)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)

    def show_download(self, download: Download) -> None:
        """Show the download's state and progress."""
        state, progress = download.state, download.progress
        chats = find_draft(self.file) is None  # a draft model is loaded with another: in the panel
        self.load_button.setVisible(state is DownloadState.DONE and chats)
        self.pause_button.setVisible(state in (DownloadState.RUNNING, DownloadState.QUEUED))
        self.resume_button.setVisible(state in (DownloadState.PAUSED, DownloadState.FAILED))
        done, failed = state is DownloadState.DONE, state is DownloadState.FAILED
        self.resume_button.setText(tr("Try again") if failed else tr("Resume"))
        other = other_source(download.spec) if failed else None
        self.other_button.setVisible(other is not None)
        if other is not None:
            host, spec = other
            self.other_button.setText(tr("From {host} instead", host=host))
            explain(self.other_button, spec.url)
        ended = done or failed or state is DownloadState.PAUSED
        here = max(download.part_bytes, progress.done_bytes)
        self.delete_button.setVisible(not ended or bool(here and not done))
        self.delete_button.setText(tr("Delete…") if here else tr("Cancel"))
        amount = tr("Delete the {amount} already downloaded", amount=format_size(here))
        explain(self.delete_button, amount if here else "")
        self.dismiss_button.setVisible(state is not DownloadState.RUNNING)
        self.bar.setVisible(not done and bool(here or not ended))
        if progress.total_bytes:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(min(_STEPS, progress.done_bytes * _STEPS // progress.total_bytes))
        else:
            self.bar.setRange(0, 0)
        set_role(self.status, "danger" if failed else "dim")
        self.status.setText(_format_status(download))


class DownloadList(QWidget):
    """The rows of the downloads, at most `most` of them, those that run first."""

    requested = Signal(object, str)  # the `DownloadAction` and the file's name

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self.rows: dict[str, DownloadRow] = {}
        self._layout = filled(QVBoxLayout(self), spacing=6)
        self.hide()

    def show_downloads(self, downloads: Sequence[Download]) -> None:
        """Show these by state; those in the same state keep their order."""
        in_order = sorted(downloads, key=lambda each: _ORDER.index(each.state))
        wanted = {each.spec.file: each for each in in_order[: self._most]}
        for file in list(self.rows):
            if file not in wanted:
                discard(self.rows.pop(file))
        for place, (file, download) in enumerate(wanted.items()):
            if file not in self.rows:
                self.rows[file] = DownloadRow(file)
                self.rows[file].requested.connect(self.requested)
            if self._layout.indexOf(self.rows[file]) != place:
                self._layout.insertWidget(place, self.rows[file])
            self.rows[file].show_download(download)
        self.setVisible(bool(wanted))


def _format_status(download: Download) -> str:
    progress = download.progress
    amount = format_size(progress.done_bytes)
    if progress.total_bytes:
        amount = tr("{done} of {total}", done=amount, total=format_size(progress.total_bytes))
    match download.state:
        case DownloadState.QUEUED:
            return tr("Waiting for another download")
        case DownloadState.PAUSED:
            return tr("Paused at {amount}", amount=amount)
        case DownloadState.DONE:
            if not download.spec.verifiable:
                return tr("Downloaded. There is no checksum to check it against.")
            return tr("Downloaded and checked.")
        case DownloadState.FAILED:
            return download.report.text() if download.report is not None else ""
        case DownloadState.RUNNING:
            return _format_running(download, amount)


def _format_running(download: Download, amount: str) -> str:
    progress = download.progress
    if progress.phase is DownloadPhase.CHECKING:
        return tr("Checking the part already downloaded: {amount}", amount=amount)
    if progress.phase is DownloadPhase.WAITING:
        return tr("{detail}. Trying again…", detail=progress.detail)
    if not progress.bytes_s:
        return tr("Connecting…")
    rate = tr("{amount} a second", amount=format_size(round(progress.bytes_s)))
    parts = [amount, rate]
    if progress.total_bytes:
        left_s = (progress.total_bytes - progress.done_bytes) / progress.bytes_s
        parts.append(tr("{time} left", time=price_text(left_s)))
    return " · ".join(parts)
