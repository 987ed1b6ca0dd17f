"""A server that a module's tests share, and servers of their own."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.servers import RunningServer, StartServer, started


@pytest.fixture(scope="module")
def served(starter: Path) -> Path:
    """The model of these servers; a module whose answers need no meaning takes a shorter one."""
    return starter


@pytest.fixture(scope="module")
def server(served: Path) -> Iterator[RunningServer]:
    with started(served) as running:
        yield running


@pytest.fixture
def start_server(served: Path) -> Iterator[StartServer]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:

        def start(*options: str, **more: Any) -> RunningServer:
            return stack.enter_context(started(served, *options, **more))

        yield start
