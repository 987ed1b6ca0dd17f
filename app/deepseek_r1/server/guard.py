"""Refuses requests before they are read: without the key, of foreign pages, or too large.

A server without a key listens on this computer alone, where every web page that is open in a
browser can reach it. So the name in `Host` has to be this computer's own (a foreign one points to
DNS rebinding), and pages are refused unless their origin is allowed.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepseek_r1.server.api_errors import ApiError
from deepseek_r1.server.serve_options import ServeOptions, is_loopback

FILES_PATH = "/v1/files"
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
