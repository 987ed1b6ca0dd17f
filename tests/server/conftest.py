"""A server that a module's tests share, and servers of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.servers import RunningServer, StartServer, started


@pytest.fixture(scope="module")
def server(starter: Path) -> Iterator[RunningServer]:
    with started(starter) as running:
        yield running


@pytest.fixture
def start_server(starter: Path) -> Iterator[StartServer]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:

        def start(*options: str, **more: Any) -> RunningServer:
            return stack.enter_context(started(starter, *options, **more))

        yield start
