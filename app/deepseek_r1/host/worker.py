"""The loop of the engine's process.

The main thread computes, one request after the other. A reader thread takes what must not wait:
cancelling, thread counts, the end. Files are inspected on a third thread, so that a look at a model
does not wait for an answer. The process ends at once when its owner is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from deepseek_r1.core.errors import EngineFailed, ErrorReport, ModelNotLoaded, R1Error
from deepseek_r1.core.events import (
    BudgetChanged,
    Event,
    LoadProgress,
)
from deepseek_r1.engine.names import engine_name
from deepseek_r1.host import frames, protocol
from deepseek_r1.host.protocol import Phase
from deepseek_r1.host.vitals import Vitals

if TYPE_CHECKING:
    from deepseek_r1.inference import CPUInference

PROGRESS_EVERY_S = 0.05
TEXT_EVERY_S = 0.05  # each event costs both processes, each token not
DETAIL_CHARACTERS = 2000
EXIT_OWNER_GONE = 0
EXIT_OWNER_UNREADABLE = 3


class Worker:
    """Serves requests from `source` and answers into `sink`, both raw byte streams."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._sending = threading.Lock()
        self._todo: SimpleQueue[protocol.AnsweredRequest] = SimpleQueue()
        self._inspections: SimpleQueue[protocol.AnsweredRequest] = SimpleQueue()
        self._cancelled: set[int] = set()
        self._current: int | None = None
        self._threads: tuple[int, int] | None = None
        self._model: CPUInference | None = None
        self._vitals = Vitals(self._send)

    def run(self) -> NoReturn:
        """Serve until the owner is gone."""
        self._send(protocol.Hello(version=protocol.VERSION, pid=os.getpid(), engine=engine_name()))
        self._vitals.start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        threading.Thread(target=self._inspect, name="inspector", daemon=True).start()
        while True:
            self._answer(self._todo.get())

    # ---- reader thread ----------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while (body := frames.read(self._source, frames.TO_ENGINE_CAP)) is not None:
                self._take(frames.parse(body, protocol.request_adapter))
        except (OSError, frames.StreamCutOff):
            _leave(EXIT_OWNER_GONE)
        except R1Error as error:
            print(error, file=sys.stderr)  # noqa: T201 - the owner keeps it and shows it
            _leave(EXIT_OWNER_UNREADABLE)
        except Exception:  # noqa: BLE001 - without this thread nobody could stop us
            traceback.print_exc()
            _leave(EXIT_OWNER_UNREADABLE)
        _leave(EXIT_OWNER_GONE)

    def _take(self, request: protocol.Request) -> None:
        match request:
            case protocol.Cancel():
                self._cancelled.add(request.id)
                if request.id == self._current and (model := self._model) is not None:
                    model.cancel()
            case protocol.SetThreads():
                self._set_threads(request)
            case protocol.SetBudget():
                self._answer(request)
            case protocol.Shutdown():
                _leave(EXIT_OWNER_GONE)
            case protocol.Inspect():
                self._inspections.put(request)
            case protocol.Load():
                self._threads = None  # the load's own settings count until the next change
                self._todo.put(request)
            case _:
                self._todo.put(request)

    def _set_threads(self, request: protocol.SetThreads) -> None:
        self._threads = (request.threads, request.threads_prefill)
        if (model := self._model) is not None:
            model.set_threads(*self._threads)
        self._send(protocol.Done(id=request.id))

    # ---- main and inspector threads ---------------------------------------------------------

    def _inspect(self) -> NoReturn:
        while True:
            self._answer(self._inspections.get())

    def _answer(self, request: protocol.AnsweredRequest) -> None:
        """Serve one request; whatever happens, it gets its one closing reply."""
        reply: protocol.ClosingReply
        try:
            reply = self._serve(request)
        except R1Error as error:
            reply = protocol.Failed(id=request.id, report=_short(error.report()))
        except Exception as error:  # noqa: BLE001 - reported to the owner, the trace to the log
            traceback.print_exc()
            detail = f"{type(error).__name__}: {error}"
            report = EngineFailed(detail=frames.without_surrogates(detail)).report()
            reply = protocol.Failed(id=request.id, report=_short(report))
        self._cancelled.discard(request.id)
        self._send(reply)

    def _serve(self, request: protocol.AnsweredRequest) -> protocol.ClosingReply:
        match request:
            case protocol.Inspect():
                from deepseek_r1.host import inspection  # noqa: PLC0415 - start up first

                return inspection.inspect(request)
            case protocol.Load():
                with self._vitals.working(Phase.LOADING):
                    self._load(request)
            case protocol.Generate():
                with self._vitals.working(Phase.GENERATING):
                    self._generate(request)
            case protocol.CountTokens():
                with self._vitals.working(Phase.COUNTING):
                    tokens = self._loaded().count_tokens(request.messages)
                return protocol.Counted(id=request.id, tokens=tokens)
            case protocol.SetBudget():
                model = self._loaded()
                model.set_memory_budget(request.memory_budget, window_mib=request.window_mib)
                self._event(request.id, BudgetChanged(bill=model.loaded.bill))
                self._vitals.beat_now()
            case protocol.MeasureThreads():
                with self._vitals.working(Phase.MEASURING):
                    self._measure_threads(request.id)
            case protocol.Unload():
                self._unload()
        return protocol.Done(id=request.id)

    def _loaded(self) -> CPUInference:
        if self._model is None:
            raise ModelNotLoaded
        return self._model

    def _load(self, request: protocol.Load) -> None:
        from deepseek_r1.inference import CPUInference  # noqa: PLC0415 - takes its time

        progress = self._progress_of(request.id)

        def accepted() -> None:  # a refused file leaves the present model alone
            self._unload()
            progress(0.0)

        model = CPUInference(
            request.path,
            settings=request.settings,
            window_mib=request.window_mib,
            give_back=True,
            on_accepted=accepted,
            on_progress=progress,
            on_memory=self._vitals.beat_now,
        )
        if self._threads is not None:  # changed while the model was loading
            model.set_threads(*self._threads)
        self._model = self._vitals.model = model
        self._send(protocol.EventFrame(id=request.id, event=model.loaded))

    def _progress_of(self, request_id: int) -> Callable[[float], bool]:
        """What the loader calls with the share read; it answers False to stop."""
        shown_at = float("-inf")

        def progress(fraction: float) -> bool:
            nonlocal shown_at
            self._vitals.sign()
            now = time.monotonic()
            if now - shown_at >= PROGRESS_EVERY_S or fraction >= 1.0:
                shown_at = now
                self._event(request_id, LoadProgress(fraction=min(1.0, max(0.0, fraction))))
            return request_id not in self._cancelled

        return progress

    def _generate(self, request: protocol.Generate) -> None:
        model = self._loaded()
        self._current = request.id
        schema = json.loads(request.json_schema) if request.json_schema else None
        events = model.stream(
            request.messages,
            sampling=request.sampling,
            json_schema=schema,
            text_every_s=TEXT_EVERY_S,
        )
        if request.id in self._cancelled:  # a cancel counts from here on, this one came before
            model.cancel()
        for event in events:
            self._event(request.id, event)

    def _measure_threads(self, request_id: int) -> None:
        measured = self._loaded().measure_threads(lambda: request_id not in self._cancelled)
        self._event(request_id, measured)

    def _unload(self) -> None:
        model, self._model, self._vitals.model = self._model, None, None
        if model is not None:
            model.close()

    def _event(self, request_id: int, event: Event) -> None:
        self._send(protocol.EventFrame(id=request_id, event=event))

    def _send(self, reply: protocol.Reply) -> None:
        frame = frames.pack(reply, frames.FROM_ENGINE_CAP)
        try:
            with self._sending:
                rest = memoryview(frame)
                while rest:
                    rest = rest[self._sink.write(rest) :]
        except OSError:
            _leave(EXIT_OWNER_GONE)


def _short(report: ErrorReport) -> ErrorReport:
    """A report that is sure to fit into a frame."""
    facts = {
        key: value[:DETAIL_CHARACTERS] if isinstance(value, str) else value
        for key, value in report.facts.items()
    }
    return ErrorReport(code=report.code, facts=facts)


def _leave(code: int) -> NoReturn:
    """End now, whatever the other threads do: nothing here outlives the owner."""
    os._exit(code)
