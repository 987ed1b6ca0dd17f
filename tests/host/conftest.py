from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.engine_session import HangLimits, RestartBudget
from host.scripted_engine import scripted_command

IMPATIENT = HangLimits(
    beats_s=1.2, loop_s=0.7, start_s=20.0, cancel_s=0.5, check_s=0.1, check_idle_s=0.1
)


@pytest.fixture
def scripted() -> Iterator[Callable[..., EngineClient]]:
    """Makes clients of the scripted engine; they are closed after the test."""
    with ExitStack() as stack:

        def make(*start: str, restarts: int = 1000, **options: object) -> EngineClient:
            client = EngineClient(
                command=scripted_command(*start), budget=RestartBudget(restarts), **options
            )
            return stack.enter_context(client)

        yield make
