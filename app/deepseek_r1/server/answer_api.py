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
    ChatChunks,
    EventStream,
    TextChunks,
    answer_parts,
    cancel_on_disconnect,
    wait_for_first_part,
)
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_requests import ChatRequest, CompletionRequest, SamplingFields
from deepseek_r1.server.api_responses import (
    ResponseHead,
    chat_logprobs,
    completion_logprobs,
    finish_reason,
    timings,
    usage,
)


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
        """The answer to a conversation."""
        self._check(body)
        body.refuse_unsupported()
        messages = self._service.warm_prompt.with_system_prompt(body.prompt())
        schema = body.answer_schema()
        sampling = body.chat_sampling(self._options.max_tokens)
        head = ResponseHead(self._service.served_name, "chatcmpl", "chat.completion")
        begin = partial(
            self._service.events,
            client_of(request),
            messages=messages,
            sampling=sampling,
            json_schema=schema,
        )
        if body.stream:
            chunks = ChatChunks(head, logprobs=sampling.logprobs)
            return await self._stream(request, body, [(chunks, begin)])
        answer = await cancel_on_disconnect(request, _collected(begin))
        choice = _chat_choice(answer, logprobs=sampling.logprobs)
        return head.body([choice]) | _usage_and_timings([answer])

    async def completions(
        self, request: Request, body: CompletionRequest
    ) -> Response | dict[str, Any]:
        """The continuation of one or several texts."""
        self._check(body)
        prompts, sampling = body.prompts(), body.completion_sampling(self._options.max_tokens)
        head = ResponseHead(self._service.served_name, "cmpl", "text_completion")

        def begin(prompt: RawPrompt) -> AsyncIterator[Event]:
            return self._service.events(client_of(request), raw=prompt, sampling=sampling)

        if body.stream:
            answers = [
                (TextChunks(head, index, logprobs=sampling.logprobs), partial(begin, prompt))
                for index, prompt in enumerate(prompts)
            ]
            return await self._stream(request, body, answers)
        collected = [
            await cancel_on_disconnect(request, _collected(partial(begin, prompt)))
            for prompt in prompts
        ]
        choices = [
            _text_choice(index, answer, logprobs=sampling.logprobs)
            for index, answer in enumerate(collected)
        ]
        return head.body(choices) | _usage_and_timings(collected)

    def _check(self, body: SamplingFields) -> None:
        self._service.require_model_name(body.model)
        self._service.require_ready()

    async def _stream(self, request: Request, body: SamplingFields, answers: Any) -> Response:
        wanted = body.stream_options
        parts = answer_parts(
            answers,
            include_usage=wanted is not None and wanted.include_usage,
            ping_s=self._options.ping_s,
        )
        return EventStream(await wait_for_first_part(request, parts))


async def _collected(begin: Callable[[], AsyncIterator[Event]]) -> GenerationResult:
    collector = ResultCollector()
    async for event in begin():
        collector.add(event)
    return collector.result()


def _chat_choice(answer: GenerationResult, *, logprobs: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.thinking:
        message |= {"reasoning_content": answer.thinking, "reasoning": answer.thinking}
    return {
        "index": 0,
        "message": message,
        "logprobs": chat_logprobs(answer.logprobs) if logprobs else None,
        "finish_reason": finish_reason(answer.stats),
    }


def _text_choice(index: int, answer: GenerationResult, *, logprobs: bool) -> dict[str, Any]:
    return {
        "index": index,
        "text": answer.text,
        "logprobs": completion_logprobs(answer.logprobs) if logprobs else None,
        "finish_reason": finish_reason(answer.stats),
    }


def _usage_and_timings(answers: list[GenerationResult]) -> dict[str, Any]:
    stats = [each.stats for each in answers]
    return {"usage": usage(stats), "timings": timings(stats[-1])}
