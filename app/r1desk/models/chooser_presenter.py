"""Connects the chooser with the model's controller, the forecasts, the hubs and the trash."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QFile, QObject, Slot

from deepseek_r1.catalogue.checksums import Stop, forget
from deepseek_r1.catalogue.errors import FileNameUnusable, ReferenceUnusable
from deepseek_r1.catalogue.file_rules import files_of
from deepseek_r1.catalogue.hub_reference import HubHost, HubReference, parse_reference
from deepseek_r1.catalogue.installed import resolved
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core import log
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_, tr, trn
from r1desk.models.controller import ModelController
from r1desk.models.downloads import ON_ITS_WAY, Downloads
from r1desk.models.file_texts import Present
from r1desk.models.forecast_service import (
    ForecastService,
    file_at,
    find_files,
    free_models_bytes,
    list_repository,
)
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, newest_task, report_of, task
from r1desk.widgets.file_dialog import chosen_file, model_dialog
from r1desk.widgets.notice_bar import Level, Notice


class FileNotRemoved(R1Error):
    """A file was not moved to the trash or deleted."""

    what = N_("{name} could not be deleted. The system reports: {detail}.")


def move_to_trash(file: Path) -> None:
    """Move a file, and what a link leads to, to the trash."""
    if not QFile(str(file.resolve())).moveToTrash():
        raise OSError(tr("there is no trash for this drive"))
    if file.is_symlink():
        file.unlink()


def delete_file(file: Path) -> None:
    """Delete a file, a link and what it leads to, for good."""
    target = file.resolve()
    file.unlink()
    if target != file:
        target.unlink(missing_ok=True)
    forget(file)


def _removed(found: ModelFile, for_good: bool) -> str:
    """Remove all of a model's files; returns the sentence on it. Raises FileNotRemoved."""
    try:
        for file in files_of(found.path) if found.path is not None else ():
            (delete_file if for_good else move_to_trash)(file)
    except OSError as error:
        log.models.warning("not moved or deleted: %s", error)
        raise FileNotRemoved(name=found.name, detail=error.strerror or str(error)) from error
    if for_good:
        return tr("{name} was deleted.", name=found.name)
    return tr("{name} is in the trash.", name=found.name)


class ChooserPresenter(QObject):
    """Lives as long as the chooser, whose child it is."""

    def __init__(
        self,
        chooser: ModelChooser,
        models: ModelController,
        downloads: Downloads,
        forecasts: ForecastService,
        recent: Sequence[str],
    ) -> None:
        super().__init__(chooser)
        self.chooser, self._models, self._forecasts = chooser, models, forecasts
        self._downloads = downloads
        self._opened = [Path(path) for path in recent]
        self._files: tuple[ModelFile, ...] = ()
        self.tasks = Tasks(self)
        self._hub_tasks = Tasks(self, self._refuse)
        pane = chooser.pane
        pane.use_requested.connect(self._use)
        pane.download_requested.connect(downloads.start)
        pane.unload_button.clicked.connect(models.unload)
        pane.remove_requested.connect(self._remove)
        chooser.file_button.clicked.connect(self._on_file)
        chooser.list_requested.connect(self._on_list)
        chooser.finished.connect(self._hub_tasks.cancel_all)
        for signal in (models.loaded, models.load_failed, models.gone, models.load_started):
            signal.connect(self._show_present)
        downloads.finished.connect(self.look_again)
        self._show_present()
        self.look_again()

    # ---- this computer and the catalogue ----------------------------------------------------

    @Slot()
    def look_again(self) -> None:
        """Look for the models and the free space anew; what was shown stays until then."""
        self._find_files()
        self._find_space()

    @newest_task
    async def _find_files(self) -> None:
        async for files in self._forecasts.ask(find_files, self._opened):
            self._files = files
            self.chooser.show_files(files, self._present())

    @newest_task
    async def _find_space(self) -> None:
        self.chooser.show_free_space(await ask_in_background(free_models_bytes))

    def _present(self) -> Present:
        chosen, loaded = self._models.path, self._models.loaded_path
        arriving = (each.spec.file for each in self._downloads.items if each.state in ON_ITS_WAY)
        return Present(
            chosen and resolved(chosen), loaded and resolved(loaded), frozenset(arriving)
        )

    @Slot()
    def _show_present(self) -> None:
        self.chooser.show_present(self._present())

    @Slot(Path)
    def _use(self, path: Path) -> None:
        self._models.choose(path)
        self.chooser.accept()

    @task
    async def _on_file(self) -> None:
        if path := await chosen_file(model_dialog(self.chooser)):
            self._use(Path(path))

    @task
    async def _remove(self, found: ModelFile, for_good: bool) -> None:
        try:
            notice = Notice(await ask_in_background(_removed, found, for_good), Level.INFO)
        except FileNotRemoved as refused:
            notice = Notice(str(refused))
        self.look_again()
        self.chooser.notices.show_notice(notice)

    # ---- a repository -----------------------------------------------------------------------

    @Slot(str, object)
    def _on_list(self, text: str, host: HubHost) -> None:
        self._hub_tasks.cancel_all()
        try:
            found = parse_reference(text, host, loopback=self._downloads.policy.loopback_http)
            if isinstance(found, str):
                self._show_listed((file_at(found),), "", found.split("/")[2])
            else:
                self._hub_tasks.start(self._list(found))
        except (ReferenceUnusable, FileNameUnusable) as error:
            self._refuse(error)

    async def _list(self, reference: HubReference) -> None:
        self.chooser.host.setCurrentText(reference.host.name)
        place = reference.host.origin.partition("//")[2]
        self.chooser.show_hub_note(tr("Connecting to {host}…", host=place))
        stop = Stop()
        answers = self._forecasts.ask(list_repository, reference, self._downloads.policy, stop)
        try:
            async for files, wanted in answers:
                self._show_listed(files, wanted, reference.repository)
        finally:
            stop.request()

    def _show_listed(self, files: Sequence[ModelFile], wanted: str, repository: str) -> None:
        text = trn(
            "{n} model in {repository}",
            "{n} models in {repository}",
            len(files),
            repository=repository,
        )
        self.chooser.show_listed(files, wanted, text)

    def _refuse(self, error: Exception) -> None:
        self.chooser.show_hub_note(report_of(error).text(), "danger")
