"""Answers that are computed together, where the computation fails."""

from contextlib import nullcontext
from queue import SimpleQueue
from types import SimpleNamespace
from unittest.mock import Mock

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.host.batch_requests import BatchRequests
from deepseek_r1.host.protocol import GenerateRequest, UnloadRequest


def test_a_request_that_waits_for_a_batch_follows_it_also_when_it_fails() -> None:
    requests: SimpleQueue[UnloadRequest] = SimpleQueue()
    requests.put(unload := UnloadRequest(id=2))
    close, batch = Mock(), Mock(busy=True, drop_all=list)
    batch.step.side_effect = failure = EngineFailed(detail="full")
    model = SimpleNamespace(batch=lambda: nullcontext(batch))
    run = BatchRequests(
        requests, Mock(), close, is_cancelled=Mock(return_value=False), text_every_s=0
    ).run
    assert run(model, GenerateRequest(id=1)) == unload
    close.assert_called_once_with(1, failure)
