"""Starts servers as people do: the command in a process of its own, on a free port."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import openai

from support.patience import PATIENCE_S, wait_until

# httpx2's own patience is five seconds.
get = partial(httpx2.get, timeout=PATIENCE_S)
post = partial(httpx2.post, timeout=PATIENCE_S)


@dataclass
class RunningServer:
    """A server whose model is loaded."""

    process: subprocess.Popen[str]
    address: str
    key: str = ""

    @contextmanager
    def client(self, **options: object) -> Iterator[openai.OpenAI]:
        """A client for one `with`, so that no test can leave its connections open.

        One that is only forgotten is closed by Python's collector, which may reach a socket before
        its client: a ResourceWarning in whichever test happens to run then.
        """
        key = self.key or "none"
        with openai.OpenAI(
            base_url=f"{self.address}/v1", api_key=key, max_retries=0, **options
        ) as client:
            yield client

    def http(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=PATIENCE_S)

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return is_ready(self.address)

        wait_until(ready, "the server did not become ready")


def is_ready(address: str) -> bool:
    try:
        return get(f"{address}/health/ready").status_code == 200
    except httpx2.TransportError:
        return False


StartServer = Callable[..., RunningServer]


def start(
    model: Path,
    *options: str,
    key: str = "",
    wait: bool = True,
    context_length: int = 1024,
    before: Sequence[str] = (),
    **popen: Any,
) -> RunningServer:
    """A server, by default with its model loaded; `before` is what the command begins with."""
    command = [*before, sys.executable, "-m", "deepseek_r1", "serve", "--model", str(model)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--context-length", str(context_length), *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"LC_ALL": "C.UTF-8", "DEEPSEEK_R1_API_KEY": key},
        **popen,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    if not line.startswith("Listening on "):
        raise AssertionError(line + process.communicate(timeout=PATIENCE_S)[1])
    server = RunningServer(process, line.split()[-1], key)
    if wait:
        try:
            server.wait_until_ready()
        except BaseException:  # nobody else could end it
            end(server)
            raise
    return server


def end(server: RunningServer) -> int:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    server.process.communicate(timeout=PATIENCE_S)
    return server.process.returncode


@contextmanager
def started(model: Path, *options: str, **more: Any) -> Iterator[RunningServer]:
    """A server that ends with the `with`; the arguments are those of `start`."""
    server = start(model, *options, **more)
    try:
        yield server
    finally:
        end(server)


@contextmanager
def foreign_server(
    command: Sequence[str], health: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Another program that serves, as a gateway; begins when the address `health` answers."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | dict(environment or {}),
    )

    def ready() -> bool:
        assert process.poll() is None, f"{command[0]} ended"
        try:
            return get(health).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        wait_until(ready, f"{command[0]} did not become ready")
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]
