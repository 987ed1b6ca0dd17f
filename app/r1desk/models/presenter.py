"""Connects the model controller with the chooser and the notices."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.heap import return_free_memory
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.template_names import FAMILY
from r1desk.features import Presenter
from r1desk.models.chosen_templates import ChosenTemplate
from r1desk.models.controller import LoadAlternative, ModelController
from r1desk.models.forecast.service import ForecastService
from r1desk.preferences import Preferences
from r1desk.widgets.notice_bar import Notice, NoticeBar


class ModelPresenter(Presenter):
    """Lets the user choose a model, and offers what helps where one was refused.

    Signals:
        chooser_opened: the ModelChooser.
    """

    chooser_opened = Signal(object)

    def __init__(
        self,
        parent: QWidget,
        models: ModelController,
        preferences: Preferences,
        notices: NoticeBar,
        forecasts: ForecastService,
    ) -> None:
        """`parent` is the window that the chooser belongs to."""
        super().__init__(parent)
        self._parent = parent
        self._models = models
        self._preferences = preferences
        self._notices = notices
        self._forecasts = forecasts
        self._refusal = ""  # the text of the last refusal, while it may be on screen
        models.alternative_found.connect(self._on_alternative)
        models.load_failed.connect(self._on_load_failed)
        models.own_template_refused.connect(self._on_own_template_refused)
        models.load_started.connect(self._on_load_started)

    @Slot(ErrorReport)
    def _on_load_failed(self, report: ErrorReport) -> None:
        self._refusal = report.text()

    @Slot(object)
    def _on_alternative(self, alternative: LoadAlternative) -> None:
        """Show the refusal again, with a button for its advice."""
        self._notices.withdraw(self._refusal)
        self._refusal = alternative.refused.text()
        notice = Notice(
            self._refusal,
            action=_action_text(alternative),
            on_action=lambda: self._models.load_alternative(alternative),
        )
        self._notices.show_notice(notice)

    @Slot(object)
    def _on_own_template_refused(self, path: Path) -> None:
        """Show the refusal again, with a button that loads the model as one without a template."""
        notice = Notice(
            self._refusal,
            action=tr("Use another template"),
            on_action=lambda: self._models.choose_template(path, ChosenTemplate(FAMILY)),
        )
        self._notices.show_notice(notice)

    @Slot(str)
    def _on_load_started(self, _path: str) -> None:
        """Withdraw the refusal of the load before."""
        self._notices.withdraw(self._refusal)
        self._refusal = ""

    @Slot()
    def choose(self) -> None:
        """Let the user pick a model: an installed one, a file, or one of the catalogue."""
        from r1desk.models.files_presenter import (  # noqa: PLC0415 - not at start
            FilesPresenter,
        )
        from r1desk.models.widgets.chooser import ModelChooser  # noqa: PLC0415 - not at start

        recent, models = self._preferences.recent_models, self._models
        chooser = ModelChooser(
            recent, models.path, self._forecasts, self._parent, models.loaded_path
        )
        FilesPresenter(chooser.files, self._models, chooser.look_again)
        chooser.chosen.connect(self._models.choose)
        chooser.finished.connect(chooser.deleteLater)
        chooser.destroyed.connect(return_free_memory)
        self.chooser_opened.emit(chooser)
        chooser.open()


def _action_text(alternative: LoadAlternative) -> str:
    if alternative.without_draft:
        return tr("Load without the draft model")
    return tr("Load it this way")
