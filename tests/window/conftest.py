"""The application with the scripted engine, and a computer whose speed is known."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue import forecaster
from deepseek_r1.hardware.pressure import MemoryReading
from r1desk.models.file_texts import Present
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.shell.session import Session
from support.engine_script import EngineScript
from window.choosers import SPEED, forecasts
from window.session_fixture import running_session, wait_ready


@pytest.fixture
def session(qtbot: QtBot, own_profile: Path, engine: EngineScript) -> Iterator[Session]:
    """The application, as soon as its window is there."""
    with running_session(qtbot, own_profile, engine=engine) as session:
        yield session


@pytest.fixture
def ready(qtbot: QtBot, session: Session) -> Session:
    """The application, once its model is loaded."""
    wait_ready(qtbot, session)
    return session


@pytest.fixture(autouse=True)
def measured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first measurement of the computer, which keeps its cores busy for seconds, is made up."""
    monkeypatch.setattr(forecaster, "_measure", lambda _threads: SPEED)


@pytest.fixture
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The computer is not measured, and 22 GB of it are free."""
    monkeypatch.setattr(forecaster, "machine_speed", lambda: SPEED)
    monkeypatch.setattr(forecaster, "known_speed", lambda: SPEED)
    monkeypatch.setattr(forecaster, "memory_reading", lambda: MemoryReading(32_000.0, 22_000.0))


@pytest.fixture
def chooser(qtbot, known_speed, without_amx) -> Iterator[ModelChooser]:
    """The catalogue for a budget of 2 GiB: the 7B runs from the disk."""
    parent = QWidget()
    made = ModelChooser(2048, parent)
    qtbot.addWidget(made)
    made.show_files(forecasts(2048), Present())
    made.show()
    yield made
    parent.deleteLater()
