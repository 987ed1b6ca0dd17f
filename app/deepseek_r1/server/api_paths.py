"""The paths of the HTTP interface: the state of the server, computations with a text, answers."""

import base64
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from deepseek_r1.core.events import Event
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.documents.sources import SourcedAnswer
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.server.admission import client_of
from deepseek_r1.server.answer_stream import (
    Answer,
    ChatChoice,
    TextChoice,
    answer_parts,
    begun_stream,
    cancel_on_disconnect,
)
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeBody,
    EmbeddingsRequest,
    SamplingFields,
    TokenizeBody,
)
from deepseek_r1.server.api_responses import ApiError, ResponseHead
from deepseek_r1.server.file_uploads import FileUploads


class ApiPaths:
    """The endpoints; `router` has their paths."""

    def __init__(self, service: AnswerService) -> None:
        self._service, self._engine, self._options = service, service.engine, service.options
        self._began = int(time.time())
        self.router = APIRouter()
        get = partial(self.router.add_api_route, methods=["GET"])
        post = partial(self.router.add_api_route, methods=["POST"])
        get("/health", self.health)
        get("/health/ready", self.ready)
        get("/v1/models", self.models)
        get("/v1/models/{name:path}", self.model)
        get("/metrics", self.metrics)
        get("/v1/loads", self.loads)
        post("/tokenize", self.tokenize)
        post("/detokenize", self.detokenize)
        post("/v1/embeddings", self.embeddings)
        post("/v1/chat/completions", self.chat, response_model=None)
        post("/v1/completions", self.completions, response_model=None)
        self._uploads = FileUploads(service)
        self.router.include_router(self._uploads.router)

    # ---- the server's state

    async def health(self) -> dict[str, str]:
        """The answer of a process that is alive."""
        return {"status": "ok"}

    async def ready(self) -> Response:
        """Whether requests are answered."""
        if not self._engine.ready:
            return ApiError(503, "The model is being loaded.", code="loading").response()
        return JSONResponse({"status": "ready"})

    async def models(self) -> dict[str, Any]:
        """The models: there is one."""
        return {"object": "list", "data": [self._model()]}

    async def model(self, name: str) -> dict[str, Any]:
        self._service.require_model_name(name)
        return self._model()

    def _model(self) -> dict[str, Any]:
        loaded = self._engine.loaded
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
        queue, beat = self._service.queue, self._engine.heartbeat
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

    # ---- computations with a text

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
        self._service.require_ready()
        self._service.require_model_name(body.model)
        rows, tokens = [], 0
        async with self._service.deadline(), self._service.queue.place(client_of(request)):
            for given in body.inputs():
                text = await self._text_of(given)
                if given.tokens and not text:
                    raise ApiError(400, "Control tokens alone have no text.", param="input")
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

    # ---- answers

    async def chat(self, request: Request, body: ChatRequest) -> Response | dict[str, Any]:
        """The answers to a conversation."""
        self._check(body)
        body.refuse_unsupported()
        async with self._service.deadline():
            documents = await cancel_on_disconnect(
                request, self._uploads.take(client_of(request), body.messages)
            )
        messages = self._service.warm_prompt.with_system_prompt(body.prompt())
        schema = body.answer_schema()
        sampling = body.chat_sampling(self._options.max_tokens)
        sourced = partial(SourcedAnswer, (), "")
        if documents:
            async with self._service.deadline():
                planned = await self._uploads.prompt(documents, messages, sampling.max_tokens)
            messages = planned.messages
            sourced = partial(SourcedAnswer, planned.sources, planned.asked)
        head = ResponseHead(
            self._service.served_name, "chatcmpl", "chat.completion", body.n or 1, body.warning
        )
        answers: list[Answer] = [
            (
                ChatChoice(index, logprobs=sampling.logprobs),
                partial(
                    self._answer,
                    sourced(),
                    client_of(request),
                    messages=messages,
                    sampling=each,
                    json_schema=schema,
                ),
            )
            for index, each in enumerate(body.several(sampling))
        ]
        return await self._respond(request, body, head, answers)

    async def _answer(
        self, sourced: SourcedAnswer, client: str, **fields: Any
    ) -> AsyncIterator[Event]:
        async with aclosing(self._service.events(client, **fields)) as events:
            async for event in events:
                yield sourced(event)

    async def completions(
        self, request: Request, body: CompletionRequest
    ) -> Response | dict[str, Any]:
        """The continuations of one or several texts."""
        self._check(body)
        prompts, sampling = body.prompts(), body.completion_sampling(self._options.max_tokens)
        head = ResponseHead(self._service.served_name, "cmpl", "text_completion", body.n or 1)
        answers: list[Answer] = []
        for prompt in prompts:
            async with self._service.deadline():
                echoed = await self._text_of(prompt) if body.echo else ""
            for each in body.several(sampling):
                choice = TextChoice(len(answers), logprobs=sampling.logprobs, echoed=echoed)
                begin = partial(self._service.events, client_of(request), raw=prompt, sampling=each)
                answers.append((choice, begin))
        return await self._respond(request, body, head, answers)

    async def _text_of(self, prompt: RawPrompt) -> str:
        return await self._engine.detokenize(prompt.tokens) if prompt.tokens else prompt.text

    def _check(self, body: SamplingFields) -> None:
        self._service.require_model_name(body.model)
        self._service.require_ready()

    async def _respond(
        self, request: Request, body: SamplingFields, head: ResponseHead, answers: list[Answer]
    ) -> Response | dict[str, Any]:
        if body.stream:
            wanted = body.stream_options
            parts = answer_parts(
                head,
                answers,
                include_usage=wanted is not None and wanted.include_usage,
                ping_s=self._options.ping_s,
            )
            return await begun_stream(request, parts)
        whole = [await cancel_on_disconnect(request, _collected(begin)) for _, begin in answers]
        choices = [choice.whole(each) for (choice, _), each in zip(answers, whole, strict=True)]
        return head.body(choices) | head.end([each.stats for each in whole])


async def _collected(begin: Callable[[], AsyncIterator[Event]]) -> GenerationResult:
    collector = ResultCollector()
    async for event in begin():
        collector.add(event)
    return collector.result()


def _base64(row: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode("ascii")
