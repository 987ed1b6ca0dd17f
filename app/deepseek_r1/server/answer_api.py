"""The paths that generate: chat completions and completions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from deepseek_r1.core.events import Event
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.engine.protocol.base import GenerationResult
from deepseek_r1.server.admission import client_of
from deepseek_r1.server.answer_stream import (
    Answer,
    ChatChoice,
    EventStream,
    TextChoice,
    answer_parts,
    cancel_on_disconnect,
    wait_for_first_part,
)
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_requests import ChatRequest, CompletionRequest, SamplingFields
from deepseek_r1.server.api_responses import ResponseHead


class AnswerApi:
    """The paths that generate: chat completions and completions."""

    def __init__(self, service: AnswerService) -> None:
        self._service, self._options = service, service.options
        self.router = APIRouter()
        endpoints: dict[str, Callable[..., Any]] = {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.completions,
        }
        for path, endpoint in endpoints.items():
            self.router.add_api_route(path, endpoint, methods=["POST"], response_model=None)

    async def chat(self, request: Request, body: ChatRequest) -> Response | dict[str, Any]:
        """The answers to a conversation."""
        self._check(body)
        body.refuse_unsupported()
        messages = self._service.warm_prompt.with_system_prompt(body.prompt())
        schema = body.answer_schema()
        sampling = body.chat_sampling(self._options.max_tokens)
        head = ResponseHead(
            self._service.served_name, "chatcmpl", "chat.completion", body.n or 1, body.warning
        )
        answers: list[Answer] = [
            (
                ChatChoice(index, logprobs=sampling.logprobs),
                partial(
                    self._service.events,
                    client_of(request),
                    messages=messages,
                    sampling=each,
                    json_schema=schema,
                ),
            )
            for index, each in enumerate(body.several(sampling))
        ]
        return await self._respond(request, body, head, answers)

    async def completions(
        self, request: Request, body: CompletionRequest
    ) -> Response | dict[str, Any]:
        """The continuations of one or several texts."""
        self._check(body)
        prompts, sampling = body.prompts(), body.completion_sampling(self._options.max_tokens)
        head = ResponseHead(self._service.served_name, "cmpl", "text_completion", body.n or 1)
        answers: list[Answer] = []
        for prompt in prompts:
            echoed = await self._text_of(prompt) if body.echo else ""
            for each in body.several(sampling):
                choice = TextChoice(len(answers), logprobs=sampling.logprobs, echoed=echoed)
                begin = partial(self._service.events, client_of(request), raw=prompt, sampling=each)
                answers.append((choice, begin))
        return await self._respond(request, body, head, answers)

    async def _text_of(self, prompt: RawPrompt) -> str:
        if not prompt.tokens:
            return prompt.text
        async with self._service.deadline():
            return await self._service.engine.detokenize(prompt.tokens)

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
            return EventStream(await wait_for_first_part(request, parts))
        whole = [await cancel_on_disconnect(request, _collected(begin)) for _, begin in answers]
        choices = [choice.whole(each) for (choice, _), each in zip(answers, whole, strict=True)]
        return head.body(choices) | head.end([each.stats for each in whole])


async def _collected(begin: Callable[[], AsyncIterator[Event]]) -> GenerationResult:
    collector = ResultCollector()
    async for event in begin():
        collector.add(event)
    return collector.result()
