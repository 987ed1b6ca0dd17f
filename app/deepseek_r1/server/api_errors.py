"""Errors of the HTTP interface, in the shape of OpenAI's."""

from typing import Any

from fastapi.responses import JSONResponse

from deepseek_r1.core.errors import (
    EngineBusy,
    EngineFailed,
    ModelNotLoaded,
    ModelRefused,
    PromptTooLong,
    R1Error,
    TemplateUnusable,
    WrongUsage,
)

RETRY_AFTER_S = 5


class ApiError(Exception):
    """An error with its HTTP status, its message and code, and `param`, the field concerned."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def body(self) -> dict[str, Any]:
        other = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, other),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        headers = {}
        if self.status in (429, 503):
            headers["Retry-After"] = str(RETRY_AFTER_S)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body, status_code=self.status, headers=headers)


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}

_STATUSES: tuple[tuple[type[R1Error], int, str], ...] = (
    (PromptTooLong, 400, "context_length_exceeded"),
    (WrongUsage, 400, "invalid_value"),
    (EngineBusy, 429, "queue_full"),
    (ModelNotLoaded, 503, "model_not_loaded"),
    (TemplateUnusable, 400, "invalid_value"),  # it was tried when the model was loaded
    (ModelRefused, 500, "model_refused"),
    (EngineFailed, 503, "engine_failed"),
)


def api_error(error: R1Error, param: str | None = None) -> ApiError:
    """Return the HTTP error for an error of the application; `param` is the field concerned."""
    known = ((status, code) for kind, status, code in _STATUSES if isinstance(error, kind))
    status, code = next(known, (500, type(error).__name__))
    if isinstance(error, PromptTooLong | TemplateUnusable):
        param = "messages"
    return ApiError(status, str(error), param=param, code=code)


def not_supported(field: str, detail: str = "") -> ApiError:
    """Return the error of a field that this server cannot honour."""
    message = f"`{field}` is not supported by this server"
    return ApiError(
        400, f"{message}: {detail}." if detail else f"{message}.", param=field, code="unsupported"
    )
