"""The application with the scripted engine, and a computer whose speed is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from r1desk.models import forecast_service
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
    monkeypatch.setattr(forecast_service, "machine_speed", lambda: SPEED)
