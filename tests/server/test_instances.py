"""Several instances: one budget divided, one address, and one that dies comes back."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.server.instances import share_of
from deepseek_r1.server.serve_options import ServeOptions
from support.patience import PATIENCE_S, wait_until
from support.servers import RunningServer, end, is_ready, post, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="instances share a socket"),
]


def options(budget: int, threads: int = 0) -> ServeOptions:
    settings = LoadSettings(memory_budget=budget, threads=threads)
    return ServeOptions(model=Path("model.gguf"), settings=settings, served_name="model")


def test_the_budget_is_divided():
    share = share_of(options(1800), 3).settings
    assert 3 * share.memory_budget <= 1800
    assert share.memory_budget >= 580
    assert share.threads >= 1
    assert share_of(options(1800, threads=7), 3).settings.threads == 7


def test_a_budget_that_is_too_small_for_all_is_refused():
    with pytest.raises(WrongUsage, match="at least 256"):
        share_of(options(512), 3)


@pytest.fixture
def two(starter: Path) -> Iterator[tuple[RunningServer, list[str]]]:
    """A supervisor of two instances, and their own addresses."""
    with started(starter, "--instances", "2", wait=False) as supervisor:
        assert supervisor.process.stderr is not None
        own = [supervisor.process.stderr.readline().split()[-1] for _ in range(2)]
        wait_until(lambda: all(map(is_ready, own)), "not all instances became ready")
        yield supervisor, own


def test_an_instance_that_dies_comes_back(two: tuple[RunningServer, list[str]]):
    supervisor, own = two
    body = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
    chat = f"{supervisor.address}/v1/chat/completions"
    for _ in range(4):
        assert post(chat, json=body).status_code == 200
    children = psutil.Process(supervisor.process.pid).children()
    assert len(children) == 2
    children[0].kill()
    children[0].wait(PATIENCE_S)
    wait_until(lambda: all(map(is_ready, own)), "not all instances became ready again")
    assert post(chat, json=body).status_code == 200
    below = psutil.Process(supervisor.process.pid).children(recursive=True)
    assert end(supervisor) == 0
    _, alive = psutil.wait_procs(below, timeout=PATIENCE_S)
    assert alive == []


def test_killing_the_supervisor_ends_its_instances_and_their_engines(two):
    supervisor, _ = two
    below = psutil.Process(supervisor.process.pid).children(recursive=True)
    assert len(below) >= 4  # two instances, each with an engine
    supervisor.process.kill()
    supervisor.process.wait()
    _, alive = psutil.wait_procs(below, timeout=PATIENCE_S)
    assert alive == []
