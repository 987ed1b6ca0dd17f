"""The application with the scripted engine, and a computer whose speed is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue import forecaster
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import MemoryReading
from r1desk.models import forecast_service
from r1desk.models.widgets.catalogue_page import CataloguePage
from r1desk.preferences import Preferences
from r1desk.shell.session import Session
from support.engine_script import EngineScript
from window.catalogue_pages import SPEED
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


@pytest.fixture
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The computer is not measured."""
    monkeypatch.setattr(forecaster, "machine_speed", lambda: SPEED)


@pytest.fixture
def given() -> list[int]:
    """The budgets that the catalogue asks for."""
    return []


@pytest.fixture
def page(qtbot, known_speed, given, monkeypatch) -> CataloguePage:
    """The catalogue for a budget of 2 GiB where 22 GB are free: the 7B runs from the disk."""
    free = MemoryReading(32_000.0, 22_000.0)
    monkeypatch.setattr(forecaster, "memory_reading", lambda: free)
    settings = Preferences(load=LoadSettings(memory_budget=2048))
    made = CataloguePage(forecast_service.ForecastService(settings), given.append)
    qtbot.addWidget(made)
    made.resize(760, 560)
    made.show()
    qtbot.waitUntil(lambda: any("tok/s" in card.chips[1].text() for card in made.cards))
    return made
