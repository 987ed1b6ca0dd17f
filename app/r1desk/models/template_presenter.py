"""Shows which chat template a model without its own gets, and loads it with another one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Slot

from deepseek_r1.core.errors import ErrorReport, TemplateFileUnusable
from deepseek_r1.core.events import ModelLoaded, TemplateSource
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.template_file import read_template_file
from r1desk.chat.composer.menu_buttons import TemplateButton
from r1desk.features import Presenter
from r1desk.models.chosen_templates import ChosenTemplate
from r1desk.models.controller import ModelController
from r1desk.models.widgets.file_dialog import open_template_dialog
from r1desk.platform.background_thread import ask_in_background
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar


class TemplatePresenter(Presenter):
    """Connects the button below the composer with the model's controller."""

    def __init__(self, button: TemplateButton, notices: NoticeBar, models: ModelController) -> None:
        super().__init__(button)
        self._button, self._notices, self._models = button, notices, models
        button.template_chosen.connect(self._on_name_chosen)
        button.file_requested.connect(self._on_file_requested)
        models.loaded.connect(self._on_loaded)
        if models.current is not None:
            self._show(models.current)

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
            read = partial(_read_template, self._models.path, Path(file))
            answer = ask_in_background(read)
            answer.done.connect(self._on_read)
            answer.failed.connect(self._on_refused)

    @Slot(object)
    def _on_read(self, read: tuple[Path, ChosenTemplate]) -> None:
        model, chosen = read
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


def _read_template(model: Path, file: Path) -> tuple[Path, ChosenTemplate]:
    """Read a template's file for a model. The engine's process compiles it.

    Not for the main thread, since the drive may be slow. Raises TemplateFileUnusable.
    """
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise TemplateFileUnusable(path=str(file), detail=tr("It is not a file."))
    return model, ChosenTemplate(read_template_file(file), file.name)
