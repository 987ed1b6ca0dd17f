"""A web server on this computer whose every answer a test writes itself, byte by byte."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deepseek_r1.catalogue.download_spec import RetryPolicy
from support.patience import PATIENCE_S

ETAG = '"first"'
REPOSITORY = "owner/Some-Model-GGUF"
QUICK = RetryPolicy(  # short pauses; only a hang is a stall
    connect_s=PATIENCE_S,
    stall_s=PATIENCE_S,
    least_bytes=64,
    first_tries=2,
    pause_s=0.01,
    loopback_http=True,
)


@dataclass
class Request:
    """A request, and what was answered. `number` counts from 0."""

    number: int
    path: str
    headers: dict[str, str]
    body_sent: int = 0

    @property
    def start(self) -> int:
        """The first byte asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


class Gone(Exception):
    """The client has closed the connection."""


@dataclass
class Reply:
    """What a script answers with."""

    connection: socket.socket
    request: Request
    closing: threading.Event

    def raw(self, data: bytes, *, body: bool = False) -> None:
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise Gone from error
        if body:
            self.request.body_sent += len(data)

    def head(self, status: int, *lines: str) -> None:
        text = "\r\n".join((f"HTTP/1.1 {status} Whatever", "Connection: close", *lines, "", ""))
        self.raw(text.encode())

    def wait(self, seconds: float) -> None:
        if self.closing.wait(seconds):
            raise Gone

    def file(
        self,
        content: bytes,
        *,
        etag: str = ETAG,
        limit: int | None = None,
        ranges: bool = True,
        extra: tuple[str, ...] = (),
    ) -> None:
        """Answer as a sound server would; `limit`: cut after so many bytes of the body."""
        start = self.request.start if ranges else 0
        if self.request.headers.get("if-range", etag) != etag:
            start = 0
        lines = [f"Content-Length: {len(content) - start}", *extra]
        if etag:
            lines.append(f"ETag: {etag}")
        if start:
            lines.append(f"Content-Range: bytes {start}-{len(content) - 1}/{len(content)}")
        self.head(206 if start else 200, *lines)
        body = content[start:]
        self.raw(body if limit is None else body[:limit], body=True)


Script = Callable[[Request, Reply], None]


@dataclass
class HostileServer:
    """Answers each request with `script`, on a port of its own of the loopback address."""

    script: Script
    requests: list[Request] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[HostileServer]:
        """Listen until the block ends."""
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield self
        finally:
            self._closing.set()
            with contextlib.suppress(OSError):  # wakes `accept`
                socket.create_connection(self._listener.getsockname()).close()
            accepting.join()
            self._listener.close()
            for thread in self._threads:
                thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def body_sent(self) -> int:
        """Bytes of files sent, over all requests."""
        return sum(request.body_sent for request in self.requests)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._answer, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        with contextlib.suppress(Gone, OSError), self._secured(connection) as secured:
            request = self._read(secured)
            self.requests.append(request)
            self.script(request, Reply(secured, request, self._closing))
            secured.shutdown(socket.SHUT_WR)  # all that was sent arrives
            while secured.recv(1 << 16):
                pass

    def _secured(self, connection: socket.socket) -> socket.socket:
        """Raises OSError where the client does not trust this server."""
        if self.tls is None:
            return connection
        try:
            return self.tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            raise

    def _read(self, connection: socket.socket) -> Request:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(1 << 16)
            if not piece:
                raise Gone
            data += piece
        first, *lines = data.split(b"\r\n\r\n")[0].decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Request(len(self.requests), first.split(" ")[1], headers)


@dataclass
class Halting:
    """Sends `limit` bytes to the first request and then nothing; later ones get all."""

    content: bytes
    limit: int = 20_000_000

    def __call__(self, request: Request, reply: Reply) -> None:
        reply.file(self.content, limit=None if request.number else self.limit)
        if not request.number:
            reply.wait(PATIENCE_S)


def drip(reply: Reply, data: bytes, pause_s: float = 0.02) -> None:
    """Send one byte after the other."""
    for index in range(len(data)):
        reply.raw(data[index : index + 1])
        time.sleep(pause_s)
        if reply.closing.is_set():
            raise Gone


def tree_of(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The entries of the list, with folders and other files as real ones have."""
    entries: list[dict[str, Any]] = [
        {"type": "directory", "oid": "0" * 40, "size": 0, "path": "images"},
        {"type": "file", "oid": "1" * 40, "size": 1200, "path": "README.md"},
    ]
    for path, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        size = len(content)
        lfs = {"oid": digest, "size": size, "pointerSize": 134}
        entries.append({"type": "file", "oid": "2" * 40, "size": size, "path": path, "lfs": lfs})
    return entries


def hub_server(
    files: Mapping[str, bytes], listing: bytes | None = None, repository: str = REPOSITORY
) -> HostileServer:
    """A hub as Hugging Face: a repository's list, which `listing` replaces, and its `files`."""
    body = json.dumps(tree_of(files)).encode() if listing is None else listing

    def script(request: Request, reply: Reply) -> None:
        path = request.path.partition("?")[0]
        if path == f"/api/models/{repository}/tree/main":
            reply.head(200, f"Content-Length: {len(body)}", "Content-Type: application/json")
            reply.raw(body)
            return
        content = files.get(path.removeprefix(f"/{repository}/resolve/main/"))
        if content is None:
            reply.head(404, "Content-Length: 0")
        elif request.headers.get("range", "").endswith("-65535"):
            start = content[:65536]
            last = f"bytes 0-{len(start) - 1}/{len(content)}"
            reply.head(206, f"Content-Length: {len(start)}", f"Content-Range: {last}")
            reply.raw(start, body=True)
        else:
            reply.file(content)

    return HostileServer(script)


def page(server: HostileServer) -> str:
    """The address of the repository's page."""
    return f"{server.url}/{REPOSITORY}"
