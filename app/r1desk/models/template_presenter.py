"""Shows which chat template a model without its own gets, and loads it with another one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Slot

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelLoaded, TemplateSource
from deepseek_r1.core.i18n import tr
from r1desk.chat.widgets.template_button import TemplateButton
from r1desk.models.chosen_templates import ChosenTemplate
from r1desk.models.controller import ModelController
from r1desk.models.template_reader import TemplateReader
from r1desk.models.widgets.file_dialog import open_template_dialog
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar


class TemplatePresenter(QObject):
    """Connects the button below the composer with the model's controller."""

    def __init__(self, button: TemplateButton, notices: NoticeBar, models: ModelController) -> None:
        super().__init__(button)
        self._button, self._notices, self._models = button, notices, models
        self._reader = TemplateReader()
        queued = Qt.ConnectionType.QueuedConnection
        self._reader.read.connect(self._on_read, queued)
        self._reader.refused.connect(self._on_refused, queued)
        button.template_chosen.connect(self._on_name_chosen)
        button.file_requested.connect(self._on_file_requested)
        models.loaded.connect(self._on_loaded)
        if models.current is not None:
            self._show(models.current)

    def close(self) -> None:
        """Disconnect before the window goes."""
        self.deleteLater()

    @Slot(str)
    def _on_name_chosen(self, name: str) -> None:
        if self._models.path is not None:
            self._models.choose_template(self._models.path, ChosenTemplate(name))

    @Slot()
    def _on_file_requested(self) -> None:
        dialog = open_template_dialog(self._button.window())
        dialog.fileSelected.connect(self._on_file_selected)
        dialog.open()

    @Slot(str)
    def _on_file_selected(self, file: str) -> None:
        if self._models.path is not None:
            self._reader.start(self._models.path, Path(file))

    @Slot(object, object)
    def _on_read(self, model: Path, chosen: ChosenTemplate) -> None:
        if model == self._models.path:  # else the user has chosen another one meanwhile
            self._models.choose_template(model, chosen)

    @Slot(object)
    def _on_refused(self, report: ErrorReport) -> None:
        self._notices.show_notice(Notice(report.text()))

    def _show(self, loaded: ModelLoaded) -> None:
        used = loaded.facts.template
        self._button.show_template(used, self._models.chosen_template.file_name)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        used, name = loaded.facts.template, loaded.facts.name
        self._show(loaded)
        if used.source is TemplateSource.FAMILY:
            text = tr(
                "{name} has no chat template. The template of its family is used: {template}.",
                name=name,
                template=used.name,
            )
        elif used.source is TemplateSource.COMPLETION:
            text = tr(
                "{name} has no chat template and seems to be a base model, or one of an unknown "
                "family, so it continues your text. A template can be chosen below the message "
                "box.",
                name=name,
            )
        else:
            return
        self._notices.show_notice(Notice(text, Level.INFO))
