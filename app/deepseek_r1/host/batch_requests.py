"""Serves several generate requests together: new ones join while others are answered.

The main thread of the engine's process steps the batch. Requests of another kind wait until it is
empty, and no further one joins meanwhile.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING

from deepseek_r1.core.errors import EngineFailed, R1Error, SystemTooTight
from deepseek_r1.core.events import Event, GenerationFinished
from deepseek_r1.core.frames import without_surrogates
from deepseek_r1.engine.interface import AnswerBatch
from deepseek_r1.host import protocol
from deepseek_r1.host.engine_session import is_limit

if TYPE_CHECKING:
    from deepseek_r1.inference import CPUInference

WorkerRequest = protocol.AnsweredRequest | protocol.ShutdownRequest


class BatchRequests:
    """Runs one batch at a time. `cancel` and `end_thinking` are for the reader thread."""

    def __init__(
        self,
        requests: SimpleQueue[WorkerRequest],
        send_event: Callable[[int, Event], None],
        close: Callable[[int, R1Error | None], None],
        *,
        is_cancelled: Callable[[int], bool],
        text_every_s: float,
    ) -> None:
        """`requests` is where more requests come from. `close` sends the closing reply."""
        self._requests, self._send_event, self._close = requests, send_event, close
        self._is_cancelled, self._text_every_s = is_cancelled, text_every_s
        self._open: set[int] = set()
        self._batch: AnswerBatch | None = None
        self._following: WorkerRequest | None = None  # waits for the end of the batch

    def cancel(self, request_id: int) -> None:
        if (batch := self._batch) is not None:
            batch.cancel(request_id)

    def end_thinking(self, request_id: int) -> None:
        if (batch := self._batch) is not None:
            batch.end_thinking(request_id)

    def run(self, model: CPUInference, first: protocol.GenerateRequest) -> WorkerRequest | None:
        """Answer `first` and what comes meanwhile. Returns the request that has to follow.

        Each request gets its closing reply, whatever happens.
        """
        try:
            with model.batch() as batch:
                self._batch = batch
                self._add(batch, first)
                self._until_empty(batch)
        except Exception as error:  # noqa: BLE001 - reported to the owner
            failure = reported_failure(error)
            for request_id in sorted(self._open or {first.id}):
                self._end(request_id, failure)
        finally:
            self._batch = None
        following, self._following = self._following, None
        return following

    def _until_empty(self, batch: AnswerBatch) -> None:
        while batch.busy:
            while self._following is None and not self._requests.empty():
                request = self._requests.get()
                if isinstance(request, protocol.GenerateRequest):
                    self._add(batch, request)
                else:
                    self._following = request
            try:
                events = batch.step()
            except BaseException:
                self._hand_over(batch.drop_all())
                raise
            self._hand_over(events)

    def _add(self, batch: AnswerBatch, request: protocol.GenerateRequest) -> None:
        self._open.add(request.id)
        try:
            if request.continues is not None:
                raise EngineFailed(detail="a batch continues no answers")
            batch.add(request.id, request.answer(self._text_every_s))
        except R1Error as error:
            self._end(request.id, error)
        else:
            if self._is_cancelled(request.id):  # the cancel came before the answer was there
                batch.cancel(request.id)

    def _hand_over(self, events: Sequence[tuple[int, Event]]) -> None:
        for request_id, event in events:
            self._send_event(request_id, event)
            if isinstance(event, GenerationFinished):
                self._end(request_id, None)

    def _end(self, request_id: int, error: R1Error | None) -> None:
        self._open.discard(request_id)
        self._close(request_id, error)


def reported_failure(error: Exception) -> R1Error:
    """Return an error of ours as it is; another one is printed, and EngineFailed reports it."""
    if isinstance(error, R1Error):
        return error
    traceback.print_exception(error)
    detail = without_surrogates(f"{type(error).__name__}: {error}")
    return SystemTooTight(detail=detail) if is_limit(detail) else EngineFailed(detail=detail)
