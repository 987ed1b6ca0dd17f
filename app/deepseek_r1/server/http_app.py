"""The HTTP application: its paths, its middleware, and the responses to errors."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from deepseek_r1 import __version__
from deepseek_r1.core.errors import R1Error
from deepseek_r1.server.answer_stream import ClientDisconnectedError
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_errors import ApiError, api_error
from deepseek_r1.server.api_paths import ApiPaths
from deepseek_r1.server.client_log import ClientLog, CountedRequests
from deepseek_r1.server.guard import RequestGuard

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
