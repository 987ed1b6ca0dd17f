"""Runs the server: loads the model in the background, serves, drains at SIGTERM."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from deepseek_r1.core.errors import R1Error, WrongUsage
from deepseek_r1.core.events import Event, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.reading import readers
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import EngineState, HostEvent, StateChanged
from deepseek_r1.host.supervisor import SHUTDOWN_S
from deepseek_r1.memory.meter import tree_mib
from deepseek_r1.server.answers import AnswerService, WarmPrompt
from deepseek_r1.server.async_engine import AsyncEngine
from deepseek_r1.server.http_app import create_app
from deepseek_r1.server.http_protocol import HttpProtocol
from deepseek_r1.server.serve_options import ServeOptions

# Memory of the server's process, without the engine's, in MiB: 64 measured with 8 clients.
SERVER_MIB = 68.0
READING_MIB = 64.0  # for documents, where streamed weights would take all that is left
CUT_OFF_S = 12.0  # for the ends of requests that are cut off
CANCEL_S = 3.0  # of these, for the engine to end the answers; then it is ended itself
LISTEN_BACKLOG = 512  # connections that wait in the system
ACCEPTED_AT_ONCE = 8  # by asyncio: none of them can be closed before some turns of its loop
SWITCH_S = 0.0005  # between threads: those that index documents hold up the event loop so long
END_S = CUT_OFF_S + SHUTDOWN_S  # from the end of the drain to the end of the process


def serve(
    options: ServeOptions,
    *,
    on_listening: Callable[[str], None],
    on_event: Callable[[Event], None],
    on_loaded: Callable[[ModelLoaded], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C. For the main thread.

    `on_listening` gets the server's address, `on_event` the progress of the load. Raises WrongUsage
    for an address that cannot be used, and the errors of a load.
    """
    options.check()
    listening = listen(options.host, options.port)
    on_listening(address_of(listening))
    serve_on([listening], options, on_event, on_loaded)


def serve_on(
    listening: Sequence[socket.socket],
    options: ServeOptions,
    on_event: Callable[[Event], None] = lambda _event: None,
    on_loaded: Callable[[ModelLoaded], None] = lambda _loaded: None,
) -> None:
    """Serve on sockets that listen already.

    Raises the errors of a load, and EngineKeepsDying.
    """
    sys.setswitchinterval(SWITCH_S)
    serving = _Serving(options, on_event, on_loaded)
    with serving.client, ending_signals(serving.end):
        asyncio.run(serving.run(listening))


class _Serving:
    """One run of the server."""

    def __init__(
        self,
        options: ServeOptions,
        on_event: Callable[[Event], None],
        on_loaded: Callable[[ModelLoaded], None],
    ) -> None:
        self.client, self._options = EngineClient(on_event=self._on_host_event), options
        self._on_event, self._on_loaded = on_event, on_loaded
        self._engine = AsyncEngine(self.client.requests, warm=not options.system_prompt)
        self._failure: R1Error | None = None
        service = AnswerService(self._engine, options)
        self._server = DrainingServer(create_app(service), service, self.client.close)

    def end(self) -> None:
        """Drain and end. Safe in a signal handler."""
        self._server.should_exit = True

    def _on_host_event(self, event: HostEvent) -> None:
        """End once the engine is not started again. The supervisor's thread."""
        if isinstance(event, StateChanged) and event.state is EngineState.FAILED and event.report:
            self._failure = event.report.error
            self.end()

    async def run(self, listening: Sequence[socket.socket]) -> None:
        """Serve, and load meanwhile. Raises the load's error, and EngineKeepsDying."""
        loading = asyncio.create_task(self._load())
        await self._server.serve(sockets=list(listening))
        if not loading.done():
            self.client.cancel()
        try:
            await asyncio.to_thread(self.client.close)  # ends what has outlasted the cut-off
        finally:
            await loading
        if self._failure is not None:
            raise self._failure

    async def _load(self) -> None:
        options = self._options
        window_mib = SERVER_MIB + options.sequences_mib()
        if options.settings.swap_enabled and options.max_file_bytes:
            window_mib += min(READING_MIB, options.settings.memory_budget / 16)
        try:
            loaded = await asyncio.to_thread(
                self.client.load,
                options.model,
                options.settings,
                window_mib=window_mib,
                prompt_cache=options.prompt_cache,
                sequences=options.parallel,
                lock_memory=options.lock_memory,
                on_event=self._on_event,
            )
            self._engine.loaded = loaded
            await WarmPrompt(self._engine, options.system_prompt).warm()
            if self._server.should_exit:  # the engine may be closed, which is no failure of `warm`
                return
            if options.max_file_bytes:
                left_mib = options.settings.memory_budget - tree_mib()
                await asyncio.to_thread(readers.prepare, left_mib)
            self._engine.warm = True
            self._on_loaded(loaded)
        except R1Error as error:
            if not self._server.should_exit:
                self._failure = error
            self._server.should_exit = True


class DrainingServer(uvicorn.Server):
    """The HTTP server of an application.

    Once it shuts down, running requests get the options' `drain_s` to end. After that an error ends
    them, which their clients receive, also where the engine is too slow to end an answer.
    """

    def __init__(
        self, app: FastAPI, service: AnswerService, end_engine: Callable[[], None] = lambda: None
    ) -> None:
        """`end_engine` ends an engine that is the server's own. It may block: a thread calls it."""
        options = service.options
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                backlog=ACCEPTED_AT_ONCE,
                log_level="warning",
                access_log=False,
                proxy_headers=bool(options.trusted_proxies),
                forwarded_allow_ips=list(options.trusted_proxies),
                timeout_graceful_shutdown=round(options.drain_s + CUT_OFF_S),
                server_header=False,
                h11_max_incomplete_event_size=64 << 10,
            )
        )
        self._service, self._end_engine = service, end_engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve. asyncio has one number for what waits and for what is accepted at once."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(LISTEN_BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain: take no new connections and wait for the running requests."""
        ending = asyncio.create_task(self._end_late_requests())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _end_late_requests(self) -> None:
        await asyncio.sleep(self._service.options.drain_s)
        self._service.cut_off()
        await asyncio.sleep(CANCEL_S)
        await asyncio.to_thread(self._end_engine)


def address_of(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


@contextmanager
def ending_signals(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` at SIGTERM and Ctrl-C.

    uvicorn has handlers of its own while it serves, and raises the signals again afterwards: then
    the server has ended in order, and its exit status is 0.
    """
    before = {
        number: signal.signal(number, lambda _number, _frame: end())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises WrongUsage for an address that cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=LISTEN_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise WrongUsage(
            detail=tr(
                "Cannot listen on {host}:{port}: {reason}.", host=host, port=port, reason=error
            )
        ) from error
    return listening
