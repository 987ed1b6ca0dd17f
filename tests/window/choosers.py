"""The dialog for models, by mouse, and the speed of a computer."""

from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue.download_spec import find_known
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.model_file import ModelFile, known_file, known_files
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.forecast import MachineSpeed
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.shell.session import Session

SPEED = MachineSpeed(memory_mib_s=12_000.0, disk_mib_s=2_300.0, threads=2)
ALL, HERE, KNOWN, HUB = range(4)


def open_chooser(qtbot: QtBot, session: Session, shown: int = ALL) -> ModelChooser:
    """Open the dialog by its action and click a filter."""
    session.window.models_action.trigger()
    qtbot.waitUntil(lambda: QApplication.activeModalWidget() is not None)
    chooser = session.window.findChild(ModelChooser)
    show(qtbot, chooser, shown)
    return chooser


def show(qtbot: QtBot, chooser: ModelChooser, shown: int) -> None:
    """Click a filter."""
    place = chooser.filter.tabRect(shown).center()
    qtbot.mouseClick(chooser.filter, Qt.MouseButton.LeftButton, pos=place)
    assert chooser.filter.currentIndex() == shown


def rows(chooser: ModelChooser) -> dict[str, tuple[str, str, str]]:
    """Size, fit and note of the rows, by their names."""
    texts = [chooser.list.texts(file) for file in chooser.list.files]
    return {name: (size, fit, note) for name, size, fit, note in texts}


def forecasts(budget_mib: int, files: Iterable[ModelFile] = ()) -> tuple[ModelFile, ...]:
    """These files, or all of the catalogue, with their forecasts for a budget."""
    made = Forecaster(LoadSettings(memory_budget=budget_mib), HeaderProcess())
    return made.add_to(files or known_files())


def known(name: str, budget_mib: int = 2048) -> ModelFile:
    """A file of the catalogue with its forecast for a budget."""
    (file,) = forecasts(budget_mib, [known_file(*find_known(name))])
    return file
