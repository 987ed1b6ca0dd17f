"""Files and pictures that are dropped onto the window: models are loaded, all else is attached."""

from itertools import islice
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QLabel, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text.editor import is_picture, local_files
from r1desk.chat.values.intents import AttachFiles, AttachPicture
from r1desk.theme import set_role

MODEL_SUFFIXES = (".gguf", ".ggml", ".bin", ".safetensors")
_MOST_LOOKED_AT = 500  # files of a folder that is dropped


class FileDrops(QObject):
    """Takes what is dropped onto a window, which it covers meanwhile with what a drop does."""

    model_dropped = Signal(Path)  # the path of a model's file or folder
    requested = Signal(object)  # an `Intent` to attach something

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.target = QLabel(window, textFormat=Qt.TextFormat.PlainText)  # covers the window
        self.target.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.target.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        set_role(self.target, "drop")
        self.target.hide()
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()  # a drag that moves is a QDropEvent too
        if kind == QEvent.Type.DragEnter and isinstance(event, QDragEnterEvent):
            self._on_drag(event)
        elif kind == QEvent.Type.DragLeave:
            self.target.hide()
        elif kind == QEvent.Type.Drop and isinstance(event, QDropEvent):
            self._on_drop(event)
        return super().eventFilter(watched, event)

    def _on_drag(self, event: QDragEnterEvent) -> None:
        if dragged := local_files(event.mimeData()):
            event.acceptProposedAction()
            self.target.setText(
                tr("Drop a model file (GGUF) to load it")
                if is_model_file(dragged[0])
                else tr("Drop documents to attach them")
            )
            self.target.setGeometry(self._window.rect())
            self.target.raise_()
            self.target.show()
        elif is_picture(event.mimeData()):
            event.acceptProposedAction()

    def _on_drop(self, event: QDropEvent) -> None:
        self.target.hide()
        if dropped := local_files(event.mimeData()):
            event.acceptProposedAction()
            if is_model_file(dropped[0]):
                self.model_dropped.emit(Path(dropped[0]))
            else:
                self.requested.emit(AttachFiles(tuple(dropped)))
        elif is_picture(event.mimeData()):
            self.requested.emit(AttachPicture(QImage(event.mimeData().imageData())))


def is_model_file(path: str) -> bool:
    """True for what a model is kept in, or for a folder with such a file; all else is attached."""
    folder = Path(path)
    try:
        names = [each.name for each in islice(folder.iterdir(), _MOST_LOOKED_AT)]
    except OSError:  # no folder
        names = [folder.name]
    return any(name.lower().endswith(MODEL_SUFFIXES) for name in names)
