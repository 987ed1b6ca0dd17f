"""The HTTP application: its paths, its middleware, and the responses to errors."""

from __future__ import annotations

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
    _handle_errors(app)
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


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def on_api_error(_request: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(R1Error)
    async def on_engine_error(_request: Request, error: R1Error) -> Response:
        return api_error(error).response()

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if part != "body")
        return ApiError(
            400, f"{name or 'body'}: {first['msg']}", param=name or None, code="invalid_value"
        ).response()

    @app.exception_handler(HTTPException)
    async def on_http_error(_request: Request, error: HTTPException) -> Response:
        return ApiError(error.status_code, str(error.detail)).response()

    @app.exception_handler(ClientDisconnectedError)
    async def on_disconnected(_request: Request, _error: ClientDisconnectedError) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
