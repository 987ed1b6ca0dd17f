"""Runs the loop of the engine's process.

The main thread computes, one request after the other. A reader thread serves what must not wait:
cancelling, thread counts, the shutdown. The vocabulary is read on a third thread, so that its
requests do not wait for an answer. The process ends at once when its owner has exited.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from deepseek_r1.core import frames
from deepseek_r1.core.errors import EngineFailed, ErrorReport, ModelNotLoaded, R1Error, WrongUsage
from deepseek_r1.core.events import BudgetChanged, Event, LoadProgress
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.measured_file import measured_dir
from deepseek_r1.core.paths import make_private_dir
from deepseek_r1.core.process_lock import lock_files
from deepseek_r1.engine.interface import engine_name
from deepseek_r1.engine.prompt.template_process import end_renderer, renderer_pid, start_renderer
from deepseek_r1.hardware.linux import MemoryNotLocked, lock_memory
from deepseek_r1.host import protocol
from deepseek_r1.host.batch_requests import BatchRequests, WorkerRequest, reported_failure
from deepseek_r1.host.heartbeat import HeartbeatSender
from deepseek_r1.host.prompt_requests import PromptRequests
from deepseek_r1.host.protocol import SAVE_PROMPTS_S, GenerateRequest, PromptCacheFolder
from deepseek_r1.memory.graphics import forget_use
from deepseek_r1.memory.load_plan import LoadPlan
from deepseek_r1.native.native_library import graphics_library, native

if TYPE_CHECKING:
    from deepseek_r1.inference import CPUInference

PROGRESS_EVERY_S = 0.05
TEXT_EVERY_S = 0.05  # each event costs both processes, each token not
DETAIL_CHARACTERS = 2000
EXIT_OWNER_EXITED = 0
EXIT_OWNER_UNREADABLE = 3


class Worker:
    """Serves requests from `source` and answers into `sink`, both raw byte streams."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._sending = threading.Lock()
        self._vocabulary = threading.Lock()  # held while it is read, and to free it
        self._requests: SimpleQueue[WorkerRequest] = SimpleQueue()
        self._vocabulary_requests: SimpleQueue[protocol.AnsweredRequest] = SimpleQueue()
        self._cancelled: set[int] = set()
        self._thinking_ended: set[int] = set()
        self._current: int | None = None
        self._threads: tuple[int, int] | None = None
        self._model: CPUInference | None = None
        self._prompts = PromptRequests()
        self._heartbeat = HeartbeatSender(self._send)
        self._locked = False  # to the files of one model
        self._together = False  # the loaded model answers several requests at once
        self._batch = BatchRequests(
            self._requests,
            self._event,
            self._close,
            is_cancelled=self._cancelled.__contains__,
            text_every_s=TEXT_EVERY_S,
        )

    def run(self) -> NoReturn:
        self._send(
            protocol.Handshake(version=protocol.VERSION, pid=os.getpid(), engine=engine_name())
        )
        self._heartbeat.start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        _import_engine()
        threading.Thread(target=self._read_vocabulary, name="vocabulary", daemon=True).start()
        request = self._requests.get()
        while not isinstance(request, protocol.ShutdownRequest):
            with self._heartbeat.working():
                following = self._answer_in_turn(request)
            request = self._requests.get() if following is None else following
        if (model := self._model) is not None:
            model.save_prompt(SAVE_PROMPTS_S)
        self._prompts.close()
        _exit_now(EXIT_OWNER_EXITED)

    # ---- reader thread ----------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while (body := frames.read(self._source, frames.TO_CHILD_CAP)) is not None:
                self._receive(frames.parse(body, protocol.request_adapter))
        except (OSError, frames.StreamCutOff):
            _exit_now(EXIT_OWNER_EXITED)
        except R1Error as error:
            print(error, file=sys.stderr)  # noqa: T201 - the owner shows it
            _exit_now(EXIT_OWNER_UNREADABLE)
        except Exception:  # noqa: BLE001 - without this thread the process could not be stopped
            traceback.print_exc()
            _exit_now(EXIT_OWNER_UNREADABLE)
        _exit_now(EXIT_OWNER_EXITED)

    def _receive(self, request: protocol.Request) -> None:
        match request:
            case protocol.CancelRequest():
                self._cancelled.add(request.id)
                self._batch.cancel(request.id)
                if request.id == self._current and (model := self._model) is not None:
                    model.cancel()
            case protocol.EndThinkingRequest():
                self._thinking_ended.add(request.id)
                self._batch.end_thinking(request.id)
                if request.id == self._current and (model := self._model) is not None:
                    model.end_thinking()
            case protocol.SetThreadsRequest():
                self._set_threads(request)
            case protocol.SetBudgetRequest():
                self._answer(request)
            case protocol.ShutdownRequest():
                self._shut_down()
                self._requests.put(request)
            case protocol.TokenizeRequest() | protocol.DetokenizeRequest() if self._model:
                self._vocabulary_requests.put(request)  # an answer need not end first
            case protocol.LoadRequest():
                self._threads = None  # the load's own settings apply until the next change
                self._requests.put(request)
            case _:
                self._requests.put(request)

    def _shut_down(self) -> None:
        """Exit at once, or within a time limit once the prepared prompt is on disk."""
        model = self._model
        if model is None or not self._prompts.wanted:
            _exit_now(EXIT_OWNER_EXITED)
        model.cancel()
        timer = threading.Timer(SAVE_PROMPTS_S, _exit_now, (EXIT_OWNER_EXITED,))
        timer.daemon = True
        timer.start()

    def _set_threads(self, request: protocol.SetThreadsRequest) -> None:
        self._threads = (request.threads, request.threads_prefill)
        if (model := self._model) is not None:
            model.set_threads(*self._threads)
        self._send(protocol.DoneReply(id=request.id))

    # ---- main and vocabulary threads ---------------------------------------------------------

    def _read_vocabulary(self) -> NoReturn:
        while True:
            self._answer(self._vocabulary_requests.get())

    def _answer_in_turn(self, request: protocol.AnsweredRequest) -> WorkerRequest | None:
        """Serve a request, and those that join it. Returns one that has to follow, if any."""
        model = self._model
        if model is None or not self._together or not isinstance(request, GenerateRequest):
            self._answer(request)
            return None
        return self._batch.run(model, request)

    def _close(
        self, request_id: int, error: R1Error | None, result: protocol.ResultReply | None = None
    ) -> None:
        self._cancelled.discard(request_id)
        self._thinking_ended.discard(request_id)
        if error is None:
            self._send(result or protocol.DoneReply(id=request_id))
        else:
            self._send(protocol.ErrorReply(id=request_id, report=_short_report(error)))

    def _answer(self, request: protocol.AnsweredRequest) -> None:
        """Serve one request; it gets exactly one closing reply, whatever happens."""
        try:
            self._close(request.id, None, self._serve(request))
        except frames.FrameTooLong:  # the tokens of a text, or the text of tokens
            detail = tr("The result is too large for one reply. Send the text in parts.")
            self._close(request.id, WrongUsage(detail=detail))
        except Exception as error:  # noqa: BLE001 - reported to the owner
            self._close(request.id, reported_failure(error))

    def _serve(self, request: protocol.AnsweredRequest) -> protocol.ResultReply | None:
        match request:
            case protocol.LoadRequest():
                self._load(request)
            case protocol.GenerateRequest():
                self._generate(request)
            case protocol.PrepareRequest():
                self._prepare(request)
            case protocol.RetainPromptsRequest():
                self._prompts.retain(request)
                self._prompt_cache_event(request.id)
            case protocol.CountTokensRequest():
                tokens = self._loaded().count_tokens(request.messages)
                return protocol.CountTokensReply(id=request.id, tokens=tokens)
            case protocol.TokenizeRequest():
                with self._vocabulary:
                    tokenized = self._loaded().tokenize(request.text, special=request.special)
                return protocol.TokensReply(id=request.id, tokens=tuple(tokenized))
            case protocol.DetokenizeRequest():
                with self._vocabulary:
                    text = self._loaded().detokenize(request.tokens)
                return protocol.TextReply(id=request.id, text=text)
            case protocol.EmbedRequest() | protocol.SimilaritiesRequest():
                return protocol.EmbeddingReply(id=request.id, values=self._embed(request))
            case protocol.SetBudgetRequest():
                model = self._loaded()
                model.set_memory_budget(request.memory_budget, window_mib=request.window_mib)
                self._event(request.id, BudgetChanged(bill=model.loaded.bill))
                self._heartbeat.send_now()
            case protocol.UnloadRequest():
                self._unload()
        return None

    def _is_wanted(self, request_id: int) -> bool:
        return request_id not in self._cancelled

    def _loaded(self) -> CPUInference:
        if self._model is None:
            raise ModelNotLoaded
        return self._model

    def _load(self, request: protocol.LoadRequest) -> None:
        from deepseek_r1.inference import CPUInference  # noqa: PLC0415 - see _import_engine

        progress = self._progress_callback(request.id)
        kept = request.prompt_cache
        prompts = kept if kept is not None and kept.budget_mib else None

        def accepted(plan: LoadPlan) -> None:
            self._unload()
            # From here on the owner gives this process no other files.
            self._event(request.id, LoadProgress(fraction=0.0, bill=plan.memory.bill))
            if not self._locked:
                lock_to_model(plan.files, kept, graphics=bool(plan.others.graphics.device))
                self._locked = True

        model = CPUInference(
            request.path,
            settings=request.settings,
            batch_size=request.sequences,
            window_mib=request.window_mib,
            chat_template=request.chat_template,
            isolated=False,  # this process is the owner's protection already
            prompt_cache=self._prompts.open(prompts),
            save_prompts=prompts is not None and prompts.save_answers,
            give_back=True,
            plan=request.plan,
            on_accepted=accepted,
            on_progress=progress,
            on_memory=self._heartbeat.send_now,
        )
        if self._threads is not None:  # changed while the model was loading
            model.set_threads(*self._threads)
        if request.lock_memory:
            try:
                lock_memory()
            except MemoryNotLocked:
                model.close()
                raise
        self._together = request.sequences > 1
        self._model = self._heartbeat.model = model
        self._prompt_cache_event(request.id)
        self._send(protocol.EventReply(id=request.id, event=model.loaded))

    def _progress_callback(self, request_id: int) -> Callable[[float], bool]:
        """The loader's callback: it gets the fraction read, 0 to 1, and returns False to stop."""
        sent_at = float("-inf")

        def progress(fraction: float) -> bool:
            nonlocal sent_at
            self._heartbeat.record_progress()
            now = time.monotonic()
            if now - sent_at >= PROGRESS_EVERY_S or fraction >= 1.0:
                sent_at = now
                self._event(request_id, LoadProgress(fraction=min(1.0, max(0.0, fraction))))
            return self._is_wanted(request_id)

        return progress

    def _generate(self, request: protocol.GenerateRequest) -> None:
        model = self._loaded()
        self._current = request.id
        self._pass_on(request.id, model, model.answer(request.answer(TEXT_EVERY_S)))

    def _prepare(self, request: protocol.PrepareRequest) -> None:
        model = self._loaded()
        self._current = request.id
        if self._is_wanted(request.id):
            events = model.prepare(request.messages, owner=request.owner, compute=request.compute)
            self._pass_on(request.id, model, events)
        self._prompt_cache_event(request.id)

    def _embed(
        self, request: protocol.EmbedRequest | protocol.SimilaritiesRequest
    ) -> tuple[float, ...]:
        self._current = request.id
        if not self._is_wanted(request.id):
            raise EngineFailed(detail=tr("it was stopped"))
        if isinstance(request, protocol.EmbedRequest):
            return tuple(self._loaded().embed([request.text])[0])
        return tuple(self._loaded().similarities(request.question, request.passages))

    def _pass_on(self, request_id: int, model: CPUInference, events: Iterator[Event]) -> None:
        """Send the events as they come. What arrived before the stream began is repeated to it."""
        if not self._is_wanted(request_id):
            model.cancel()
        if request_id in self._thinking_ended:
            model.end_thinking()
        for event in events:
            self._event(request_id, event)

    def _prompt_cache_event(self, request_id: int) -> None:
        if (state := self._prompts.state()) is not None:
            self._event(request_id, state)

    def _unload(self) -> None:
        with self._vocabulary:
            model, self._model, self._heartbeat.model = self._model, None, None
        if model is not None:
            model.save_prompt(SAVE_PROMPTS_S)
            model.close()

    def _event(self, request_id: int, event: Event) -> None:
        self._send(protocol.EventReply(id=request_id, event=event))

    def _send(self, reply: protocol.Reply) -> None:
        frame = frames.pack(reply, frames.FROM_CHILD_CAP)
        try:
            with self._sending:
                frames.write(self._sink, frame)
        except OSError:
            _exit_now(EXIT_OWNER_EXITED)


def _import_engine() -> None:
    """Import what serves requests: after the handshake, since it takes long, and in one thread.

    Where two threads import modules of one package at once, one of them may get a module of which
    half is missing: Python takes their waiting for each other for a circular import.
    """
    from deepseek_r1.inference import loading  # noqa: F401, PLC0415


def _short_report(error: R1Error) -> ErrorReport:
    """The report of an error, with its texts cut so that it fits into a frame."""
    facts = {
        key: value[:DETAIL_CHARACTERS] if isinstance(value, str) else value
        for key, value in error.facts.items()
    }
    return ErrorReport(code=type(error).__name__, facts=facts)


def _exit_now(code: int) -> NoReturn:
    """Exit at once, whatever the other threads do: nothing here outlives the owner."""
    forget_use()  # a driver that is computing has not failed
    os._exit(code)


_DRIVER_FILES = ("/usr/share/vulkan", "/usr/local/share/vulkan", "/etc/vulkan", "/usr/share/glvnd",
                 "/usr/share/drirc.d", "/etc/drirc", "/usr/share/libdrm")  # fmt: skip


def lock_to_model(
    files: Sequence[Path], prompts: PromptCacheFolder | None, *, graphics: bool = False
) -> None:
    """Allow this process the model's files, and its folders of prompts and measured values.

    With `graphics`, also graphics processors, and the files by which their drivers are found.

    Raises EngineStartFailed where the system has the means and refuses them.
    """
    with suppress(OSError):  # a profile that cannot be written holds no measured values either
        make_private_dir(measured_dir())
    folders = [measured_dir(), *([Path(prompts.path)] if prompts is not None else [])]
    reads, devices = [*files], list[Path]()
    if graphics and (library := graphics_library()) is not None:
        reads += [library, *map(Path, _DRIVER_FILES)]
        devices += [Path("/dev/dri"), *Path("/dev").glob("nvidia*")]
    locked = lock_files(reads, folders, native().restrict_threads, devices)
    if locked and renderer_pid() is not None:
        end_renderer()  # the next one is started under the same rules
        start_renderer()
