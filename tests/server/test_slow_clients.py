"""Clients that send slowly, in crumbs or not at all keep nobody from being answered."""

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest

from deepseek_r1.server import http_protocol
from deepseek_r1.server.http_app import create_app
from deepseek_r1.server.serving import DrainingServer, listen
from server.test_deadlines import service
from support.patience import PATIENCE_S
from support.servers import StartServer

HALF_HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HALF_HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server's port; it takes 20 connections."""
    monkeypatch.setattr(http_protocol, "most_connections", lambda: 20)
    answers = service()
    server = DrainingServer(create_app(answers), answers)
    listening = listen("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def connected(port: int, sent: bytes, stack: ExitStack) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
    connection.sendall(sent)
    return connection


def received(connection: socket.socket) -> bytes:
    """All until the server closes."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def health(port: int) -> int:
    return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=PATIENCE_S).status_code


@pytest.mark.parametrize("sent", [b"", HALF_HEAD, CHUNKED + b"5\r\nhe"], ids=["", "head", "body"])
def test_what_is_not_sent_in_time_is_closed(port, sent, monkeypatch):
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.2)
    monkeypatch.setattr(http_protocol, "BODY_S", 0.2)
    with ExitStack() as stack:
        assert received(connected(port, sent, stack)) == b""


def test_half_requests_of_any_number_keep_nobody_out(port: int) -> None:
    with ExitStack() as stack:
        first = connected(port, HALF_HEAD, stack)
        others = [connected(port, HALF_HEAD, stack) for _ in range(60)]
        assert health(port) == 200
        assert received(first) == b""
        others[-1].sendall(b"\r\n")  # the latest are kept
        assert others[-1].recv(100).startswith(b"HTTP/1.1 4")


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_server_that_may_open_few_files_survives_more_clients(start_server: StartServer) -> None:
    def limit() -> None:
        import resource  # noqa: PLC0415 - Windows has none

        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    server = start_server(wait=False, preexec_fn=limit)
    port = int(server.address.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(160):
            connected(port, HALF_HEAD, stack)
        assert health(port) == 200
    server.process.terminate()
    assert "Too many open files" not in server.process.communicate(timeout=PATIENCE_S)[1]


def test_a_body_in_crumbs_is_refused_early(port: int) -> None:
    with ExitStack() as stack:
        connection = connected(port, CHUNKED + b"1\r\n \r\n" * 6000, stack)
        assert b"chunks that are too small" in received(connection)


def test_a_body_in_chunks_of_a_usual_size_is_read(port: int) -> None:
    with ExitStack() as stack:
        connection = connected(port, CHUNKED, stack)
        piece = b'{"model": "' + b"x" * 1000
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        for _ in range(1000):
            connection.sendall(b"100\r\n" + b"y" * 256 + b"\r\n")
        connection.sendall(b'2\r\n"}\r\n0\r\n\r\n')
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 404")  # for want of that model
