"""The bodies of responses in OpenAI's shapes: errors, and answers from the engine's events."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
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
from deepseek_r1.core.events import FinishReason, GenerationStats, TokenLogprob

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


_FINISH_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT: "length",
}


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The fields that all parts of a response share."""

    model: str
    prefix: str  # of the id
    kind: str  # "chat.completion" or "text_completion"
    n: int = 1  # answers to each prompt
    warning: str = ""  # what of the request is not done
    created: int = field(default_factory=lambda: int(time.time()))
    key: str = field(default_factory=lambda: secrets.token_hex(12))

    def body(self, choices: list[dict[str, Any]], *, chunk: bool = False) -> dict[str, Any]:
        chat_chunk = chunk and self.kind == "chat.completion"
        return {
            "id": f"{self.prefix}-{self.key}",
            "object": f"{self.kind}.chunk" if chat_chunk else self.kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }

    def end(self, stats: Sequence[GenerationStats]) -> dict[str, Any]:
        return {"usage": _usage(stats, self.n), "timings": _timings(stats[-1]), **self.warned}

    @property
    def warned(self) -> dict[str, str]:
        return {"warning": self.warning} if self.warning else {}


def finish_reason(stats: GenerationStats) -> str:
    """Return OpenAI's word for the end of an answer."""
    return _FINISH_REASONS.get(stats.finish_reason, "stop")


def _usage(stats: Sequence[GenerationStats], answers_each: int) -> dict[str, Any]:
    """Return the token counts of one or several answers; a prompt with several counts once."""
    prompts = stats[::answers_each]
    prompt = sum(each.prompt_tokens for each in prompts)
    completion = sum(each.completion_tokens for each in stats)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(each.cached_tokens for each in prompts)},
        "completion_tokens_details": {
            "reasoning_tokens": sum(each.thinking_tokens for each in stats)
        },
    }


def _timings(stats: GenerationStats) -> dict[str, float | int]:
    """Return the times of an answer, under llama-server's names."""
    return {
        "cache_n": stats.cached_tokens,
        "prompt_n": stats.prompt_tokens - stats.cached_tokens,
        "prompt_ms": round(stats.prefill_s * 1000, 1),
        "prompt_per_second": round(stats.prefill_tok_s, 2),
        "predicted_n": stats.completion_tokens,
        "predicted_ms": round(stats.decode_s * 1000, 1),
        "predicted_per_second": round(stats.decode_tok_s, 2),
    }


def chat_logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Return log probabilities in the shape of chat completions."""
    return {
        "content": [
            _chat_logprob(each) | {"top_logprobs": [_chat_logprob(top) for top in each.top]}
            for each in logprobs
        ],
        "refusal": None,
    }


def _chat_logprob(logprob: TokenLogprob) -> dict[str, Any]:
    return {"token": _text(logprob), "logprob": logprob.logprob, "bytes": list(logprob.data)}


def completion_logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Return log probabilities in the shape of completions."""
    tokens = [_text(each) for each in logprobs]
    return {
        "tokens": tokens,
        "token_logprobs": [each.logprob for each in logprobs],
        "top_logprobs": [{_text(top): top.logprob for top in each.top} for each in logprobs],
        "text_offset": list(accumulate(map(len, tokens), initial=0))[:-1],
    }


def _text(logprob: TokenLogprob) -> str:
    return bytes(logprob.data).decode("utf-8", "replace")
