"""Builds the bodies of responses from the engine's events."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from deepseek_r1.core.events import FinishReason, GenerationStats, TokenLogprob

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
        """Return the fields that follow all answers."""
        return {"usage": _usage(stats, self.n), "timings": _timings(stats[-1]), **self.warned}

    @property
    def warned(self) -> dict[str, str]:
        """The field with the warning, where there is one."""
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
