"""Requests to the engine's process that the window sends, as calls of a client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepseek_r1.core.events import Event
from deepseek_r1.core.messages import Message
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import (
    CountTokensReply,
    CountTokensRequest,
    DoneReply,
    PrepareRequest,
    SetBudgetRequest,
    SetThreadsRequest,
    UnloadRequest,
)


def preparing(
    client: EngineClient, messages: Sequence[Message], owner: str, *, compute: bool = True
) -> Iterator[Event]:
    """Sent with the first `next()`."""
    request = client.submit(PrepareRequest, messages=tuple(messages), owner=owner, compute=compute)
    yield from request.events()


def count_tokens(client: EngineClient, messages: Sequence[Message]) -> int:
    request = client.submit(CountTokensRequest, messages=tuple(messages))
    return request.result(CountTokensReply).tokens


def set_threads(client: EngineClient, threads: int, threads_prefill: int) -> None:
    request = client.submit(SetThreadsRequest, threads=threads, threads_prefill=threads_prefill)
    request.result(DoneReply)


def set_budget(client: EngineClient, memory_budget: int) -> None:
    client.submit(SetBudgetRequest, memory_budget=memory_budget).result(DoneReply)


def unload(client: EngineClient) -> None:
    client.submit(UnloadRequest).result(DoneReply)
