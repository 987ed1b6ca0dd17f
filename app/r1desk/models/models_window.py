"""The main window, as the models use it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow

from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.view import ChatView
from r1desk.models.widgets.download_list import DownloadList
from r1desk.models.widgets.model_pill import ModelPill
from r1desk.widgets.notice_bar import NoticeBar


class ModelsWindow(QMainWindow):
    """The main window, as the models use it."""

    model_dropped = Signal(Path)  # of a model's file or folder
    chat: ChatView
    composer: Composer
    downloads: DownloadList
    model_pill: ModelPill
    models_action: QAction
    notices: NoticeBar
