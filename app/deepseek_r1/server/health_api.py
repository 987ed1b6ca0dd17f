"""The paths that describe the server and its state."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_errors import ApiError


class HealthApi:
    """The paths that describe the server: health, models, metrics, load."""

    def __init__(self, service: AnswerService) -> None:
        self._service = service
        self._began = int(time.time())
        self.router = APIRouter()
        endpoints: dict[str, Callable[..., Any]] = {
            "/health": self.health,
            "/health/ready": self.ready,
            "/v1/models": self.models,
            "/v1/models/{name:path}": self.model,
            "/metrics": self.metrics,
            "/v1/loads": self.loads,
        }
        for path, endpoint in endpoints.items():
            self.router.add_api_route(path, endpoint, methods=["GET"])

    async def health(self) -> dict[str, str]:
        """The answer of a process that is alive."""
        return {"status": "ok"}

    async def ready(self) -> Response:
        """Whether requests are answered."""
        if not self._service.engine.ready:
            return ApiError(503, "The model is being loaded.", code="loading").response()
        return JSONResponse({"status": "ready"})

    async def models(self) -> dict[str, Any]:
        """The models: there is one."""
        return {"object": "list", "data": [self._model()]}

    async def model(self, name: str) -> dict[str, Any]:
        """The model of this name."""
        self._service.require_model_name(name)
        return self._model()

    def _model(self) -> dict[str, Any]:
        loaded = self._service.engine.loaded
        facts = loaded.facts if loaded is not None else None
        return {
            "id": self._service.served_name,
            "object": "model",
            "created": self._began,
            "owned_by": "deepseek-r1",
            "max_model_len": facts.context_length if facts is not None else None,
        }

    async def metrics(self) -> Response:
        """The metrics in Prometheus' format."""
        return Response(self._service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def loads(self) -> dict[str, Any]:
        """The load of the server, in the shape that gateways of SGLang read."""
        queue, beat = self._service.queue, self._service.engine.heartbeat
        used = beat.context_used if beat is not None else 0
        cells = beat.context_length if beat is not None else 0
        load = {
            "dp_rank": 0,
            "num_running_reqs": queue.running,
            "num_waiting_reqs": queue.waiting,
            "num_total_reqs": queue.running + queue.waiting,
            "num_used_tokens": used,
            "max_total_num_tokens": cells,
            "token_usage": used / cells if cells else 0.0,
        }
        total = {key: value for key, value in load.items() if key != "dp_rank"}
        return {"timestamp": time.time(), "loads": [load], "aggregate": total}
