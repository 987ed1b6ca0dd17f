"""The paths that compute with a text and generate nothing."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request

from deepseek_r1.server.admission import client_of
from deepseek_r1.server.answer_stream import cancel_on_disconnect
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_errors import ApiError
from deepseek_r1.server.api_requests import DetokenizeBody, EmbeddingsRequest, TokenizeBody


class TextApi:
    """The paths that compute with a text and generate nothing."""

    def __init__(self, service: AnswerService) -> None:
        self._service, self._engine = service, service.engine
        self.router = APIRouter()
        self.router.add_api_route("/tokenize", self.tokenize, methods=["POST"])
        self.router.add_api_route("/detokenize", self.detokenize, methods=["POST"])
        self.router.add_api_route("/v1/embeddings", self.embeddings, methods=["POST"])

    async def tokenize(self, body: TokenizeBody) -> dict[str, Any]:
        """The tokens of a text."""
        async with self._service.deadline():
            tokens = await self._engine.tokenize(body.text(), special=body.parse_special)
        length = self._engine.require_model().facts.context_length
        return {"tokens": tokens, "count": len(tokens), "max_model_len": length}

    async def detokenize(self, body: DetokenizeBody) -> dict[str, str]:
        """The text of tokens."""
        async with self._service.deadline():
            text = await self._engine.detokenize(tuple(body.tokens))
        return {"prompt": text, "content": text}

    async def embeddings(self, request: Request, body: EmbeddingsRequest) -> dict[str, Any]:
        """An embedding of each text."""
        self._service.require_ready()
        self._service.require_model_name(body.model)
        rows, tokens = [], 0
        async with self._service.deadline(), self._service.queue.place(client_of(request)):
            for given in body.inputs():
                if isinstance(given, str):
                    text = given
                else:
                    text = await self._engine.detokenize(tuple(given))
                rows.append(await cancel_on_disconnect(request, self._engine.embed(text)))
                tokens += len(await self._engine.tokenize(text, special=False))
        if body.dimensions not in (None, len(rows[0])):
            raise ApiError(
                400, f"The embeddings have {len(rows[0])} dimensions.", param="dimensions"
            )
        encode: Callable[[tuple[float, ...]], Any] = (
            _base64 if body.encoding_format == "base64" else list
        )
        data = [
            {"object": "embedding", "index": index, "embedding": encode(row)}
            for index, row in enumerate(rows)
        ]
        return {
            "object": "list",
            "data": data,
            "model": self._service.served_name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }


def _base64(row: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode("ascii")
