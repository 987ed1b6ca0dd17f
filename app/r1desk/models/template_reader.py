"""Reads a chat template's file in a thread of its own: the drive may be slow."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from deepseek_r1.core.errors import TemplateFileUnusable
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.template_file import read_template_file
from r1desk.models.chosen_templates import ChosenTemplate
from r1desk.platform.background_thread import in_background


class TemplateReader(QObject):
    """Needs no parent. The source is only read here; the engine's process compiles it.

    Signals:
        read: the path of the model that it is for, and the ChosenTemplate.
        refused: the ErrorReport.
    """

    read = Signal(object, object)
    refused = Signal(object)

    def start(self, model: Path, file: Path) -> None:
        """Read a file; one of the signals follows, emitted in the thread."""
        in_background(self, partial(self._read, model, file))

    def _read(self, model: Path, file: Path) -> None:
        try:
            if file.exists() and not file.is_file():  # a pipe would be waited for
                raise TemplateFileUnusable(path=str(file), detail=tr("It is not a file."))
            source = read_template_file(file)
        except TemplateFileUnusable as error:
            self.refused.emit(error.report())
        else:
            self.read.emit(model, ChosenTemplate(source, file.name))
