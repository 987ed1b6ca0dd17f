"""A server that a module's tests share, and servers of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.servers import RunningServer, StartServer, end, start


@pytest.fixture(scope="module")
def server(starter: Path) -> Iterator[RunningServer]:
    running = start(starter)
    yield running
    end(running)


@pytest.fixture
def start_server(starter: Path) -> Iterator[StartServer]:
    """Starts servers that end with the test."""
    running: list[RunningServer] = []

    def started(*options: str, **more: object) -> RunningServer:
        running.append(start(starter, *options, **more))  # type: ignore[arg-type]
        return running[-1]

    yield started
    for each in running:
        end(each)
