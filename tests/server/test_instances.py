"""Several instances: one budget divided, one address, and one that dies comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.server.instances import share_of
from deepseek_r1.server.serve_options import ServeOptions
from support.patience import PATIENCE_S, wait_until
from support.servers import is_ready, post

pytestmark = [
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


def wait_until_ready(addresses: list[str]) -> None:
    wait_until(lambda: all(map(is_ready, addresses)), "not all instances became ready")


def test_an_instance_that_dies_comes_back(starter: Path):
    command = [sys.executable, "-m", "deepseek_r1", "serve", "--model", str(starter)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--instances", "2", "--context-length", "512"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        common, *own = (line.split()[-1] for line in lines)
        wait_until_ready(own)
        body = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
        for _ in range(4):
            assert post(f"{common}/v1/chat/completions", json=body).status_code == 200
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        children[0].kill()
        children[0].wait(PATIENCE_S)
        wait_until_ready(own)
        assert post(f"{common}/v1/chat/completions", json=body).status_code == 200
        grandchildren = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    _, alive = psutil.wait_procs(grandchildren, timeout=PATIENCE_S)
    assert alive == []


def test_killing_the_supervisor_ends_its_instances_and_their_engines(starter: Path):
    command = [sys.executable, "-m", "deepseek_r1", "serve", "--model", str(starter)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--instances", "2", "--context-length", "512"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    own = [process.stderr.readline().split()[-1] for _ in range(3)][1:]
    wait_until_ready(own)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 4  # two instances, each with an engine
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(below, timeout=PATIENCE_S)
    assert alive == []
    process.stderr.close()
