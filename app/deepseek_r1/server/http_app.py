"""The HTTP application: who is let in, who is counted, its paths, and the responses to errors.

A server without a key listens on this computer alone, where every web page that is open in a
browser can reach it. So the name in `Host` has to be this computer's own (a foreign one points to
DNS rebinding), and pages are refused unless their origin is allowed.
"""

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepseek_r1 import __version__
from deepseek_r1.core.errors import R1Error
from deepseek_r1.host.sharing_protocol import MAX_CLIENTS, MAX_NAME_CHARACTERS, SharingClient
from deepseek_r1.server.answer_stream import ClientDisconnectedError
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_paths import ApiPaths
from deepseek_r1.server.api_responses import ApiError, api_error
from deepseek_r1.server.file_uploads import FILES_PATH
from deepseek_r1.server.serve_options import ServeOptions, is_loopback

FORM_BYTES = 8 << 10  # around an uploaded file
OPEN_PATHS = frozenset({"/health", "/health/ready"})


class RequestGuard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, options: ServeOptions) -> None:
        self._app, self._options = app, options
        self._key = _digest(options.api_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        try:
            self._check(scope, headers)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        most, read = self._most_bytes(scope), 0

        async def limited() -> Message:
            """Receive the next message, whether or not the body announces its length."""
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, _too_large(most).message)
            return message

        await self._app(scope, limited, send)

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        if scope["path"] in OPEN_PATHS:
            return
        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        if self._options.api_key:
            if not preflight and not self._has_key(headers):
                raise ApiError(401, "The key is missing or wrong.", code="invalid_api_key")
        else:
            self._check_origin(headers)
        length = headers.get("content-length", "")
        most = self._most_bytes(scope)
        if length.isdigit() and int(length) > most:
            raise _too_large(most)

    def _most_bytes(self, scope: Scope) -> int:
        options = self._options
        most_file = options.max_file_bytes + FORM_BYTES if scope["path"] == FILES_PATH else 0
        return max(options.max_body_bytes, most_file)

    def _has_key(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = headers.get("x-api-key", "")
        return hmac.compare_digest(_digest(given.strip()), self._key)  # in constant time

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        if not is_loopback(_host_name(headers.get("host", ""))):
            raise ApiError(403, "This server answers under this computer's own name alone.")
        origin = headers.get("origin")
        allowed = self._options.allowed_origins
        if origin is not None and origin not in allowed and "*" not in allowed:
            raise ApiError(403, f"Pages of {origin[:200]} may not use this server.")


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"The body is larger than {most:,} bytes.", code="body_too_large")


def _digest(key: str) -> bytes:
    """Return a hash, so that a comparison does not depend on the key's length."""
    return hashlib.sha256(key.encode("utf-8")).digest()


def _host_name(host: str) -> str:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d*)?", host)
    return found[1] if found else ""


@dataclass
class _Counts:
    requests: int = 0
    running: int = 0


class ClientLog:
    """The programs that used the server last, at most `MAX_CLIENTS`. For one event loop."""

    def __init__(self) -> None:
        self.changed = False  # since whoever reads it has set it back
        self._counts: OrderedDict[str, _Counts] = OrderedDict()

    def clients(self) -> tuple[SharingClient, ...]:
        """Return the programs, the last ones first."""
        return tuple(
            SharingClient(name=name, requests=each.requests, running=each.running)
            for name, each in reversed(self._counts.items())
        )[:MAX_CLIENTS]

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Count a request, which runs during the block."""
        counts = self._counts.setdefault(name, _Counts())
        self._counts.move_to_end(name)
        counts.requests += 1
        counts.running += 1
        self._drop_oldest()
        self.changed = True
        try:
            yield
        finally:
            counts.running -= 1
            self.changed = True

    def _drop_oldest(self) -> None:
        idle = [name for name, counts in self._counts.items() if not counts.running]
        for name in idle[: max(0, len(self._counts) - MAX_CLIENTS)]:
            del self._counts[name]


class CountedRequests:
    """ASGI middleware behind the guard: requests with a wrong key are not counted."""

    def __init__(self, app: ASGIApp, log: ClientLog) -> None:
        self._app, self._log = app, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        with self._log.counted(program_name(dict(scope["headers"]).get(b"user-agent", b""))):
            await self._app(scope, receive, send)


def program_name(user_agent: bytes) -> str:
    """Return the name in a User-Agent, without characters that cannot be printed."""
    text = user_agent[: 4 * MAX_NAME_CHARACTERS].decode("utf-8", "replace")
    shown = "".join(character for character in text if character.isprintable()).strip()
    return shown[:MAX_NAME_CHARACTERS] or "?"


CLIENT_CLOSED_REQUEST = 499  # nginx's status; it is not sent to anyone


def create_app(service: AnswerService, *, clients: ClientLog | None = None) -> FastAPI:
    """Return the application around an engine whose model may still be loading.

    `clients` counts the requests of each program.
    """
    options = service.options
    app = FastAPI(title="deepseek-r1", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(ApiPaths(service).router)
    for kind in (ApiError, R1Error, RequestValidationError, HTTPException, ClientDisconnectedError):
        app.add_exception_handler(kind, _on_error)
    if clients is not None:
        app.add_middleware(CountedRequests, log=clients)
    app.add_middleware(RequestGuard, options=options)
    if options.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
        )
    return app


async def _on_error(_request: Request, error: Exception) -> Response:
    match error:
        case R1Error():
            error = api_error(error)
        case RequestValidationError():
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"] if part != "body")
            text = f"{name or 'body'}: {first['msg']}"
            error = ApiError(400, text, param=name or None, code="invalid_value")
        case HTTPException():
            error = ApiError(error.status_code, str(error.detail))
    if isinstance(error, ApiError):
        return error.response()
    return Response(status_code=CLIENT_CLOSED_REQUEST)  # ClientDisconnectedError
