"""The process of a server that shares the engine of the application that started it.

It listens on the loopback address alone and always requires a key. It ends with the application.
Other programs write to it, so the system locks it once it listens: no other socket, no program, and
no files but the installation's.
"""

import asyncio
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel

from deepseek_r1.core import frames
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.frames import private_pipes
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.process_lock import lock_files, lock_process
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.in_flight import OpenRequests
from deepseek_r1.host.protocol import ShutdownRequest
from deepseek_r1.host.sharing_protocol import (
    ModelShared,
    ModelWanted,
    SharingBegan,
    SharingClients,
    SharingRefused,
    SharingStart,
    ToServer,
    to_server_adapter,
)
from deepseek_r1.native.child_start import end_with_owner
from deepseek_r1.native.native_library import native
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.async_engine import AsyncEngine
from deepseek_r1.server.http_app import ClientLog, create_app
from deepseek_r1.server.serve_options import ServeOptions
from deepseek_r1.server.serving import DrainingServer, address_of, listen

HOST = "127.0.0.1"
DRAIN_S = 1.0  # for running answers when the switch is turned off
MAX_QUEUE = 16
MAX_BODY_BYTES = 1 << 20
CLIENTS_EVERY_S = 0.5


class SharedEngine:
    """The messages from and to the application, and the requests that wait for its replies."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        """`source` and `sink` are the raw pipes from and to the application."""
        self._source, self._sink = source, sink
        self._sending = threading.Lock()
        self.requests = OpenRequests(self.send)

    def send(self, message: BaseModel) -> None:
        """Write a message to the application. Any thread."""
        frame = frames.pack(message, frames.FROM_CHILD_CAP)
        with self._sending:
            frames.write(self._sink, frame)

    def receive(self) -> ToServer | None:
        """Read the application's next message; None where it has ended.

        Raises ProtocolBroken, StreamCutOff, OSError.
        """
        body = frames.read(self._source, frames.TO_CHILD_CAP)
        return None if body is None else frames.parse(body, to_server_adapter)


class SharedServer:
    """One run of the server. Made in the main thread, before the event loop."""

    def __init__(self, shared: SharedEngine, start: SharingStart) -> None:
        """Listen. Raises WrongUsage for a port that cannot be used."""
        self._shared = shared
        options = ServeOptions(
            model=Path(),
            settings=LoadSettings(),
            served_name="",
            host=HOST,
            port=start.port,
            api_key=start.api_key,
            parallel=1,
            max_queue=MAX_QUEUE,
            max_body_bytes=MAX_BODY_BYTES,
            max_file_bytes=0,  # the process that reads documents could not be started
            drain_s=DRAIN_S,
        )
        self._engine = AsyncEngine(
            shared.requests, on_model_wanted=lambda: shared.send(ModelWanted())
        )
        self._listening = listen(HOST, start.port)
        self._clients = ClientLog()
        service = AnswerService(self._engine, options)
        self._server = DrainingServer(create_app(service, clients=self._clients), service)

    async def run(self) -> None:
        """Serve until the application has ended or sends `ShutdownRequest`."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        reporting = asyncio.create_task(self._report_clients())
        self._shared.send(SharingBegan(address=address_of(self._listening)))
        await self._server.serve(sockets=[self._listening])
        reporting.cancel()

    async def _report_clients(self) -> None:
        """Report changes, at most twice a second."""
        while True:
            if self._clients.changed:
                self._clients.changed = False
                self._shared.send(SharingClients(clients=self._clients.clients()))
            await asyncio.sleep(CLIENTS_EVERY_S)

    def _read(self) -> None:
        """Handle the application's messages in a thread; end the process after the last one."""
        status = 0
        try:
            while (message := self._shared.receive()) is not None:
                match message:
                    case ModelShared(loaded=loaded, name=name):
                        self._engine.served_name, self._engine.loaded = name, loaded
                    case ShutdownRequest():
                        self._server.should_exit = True
                    case SharingStart():
                        pass  # it has begun
                    case _:
                        self._shared.requests.hand_over(message)
        except (OSError, frames.StreamCutOff):
            pass  # the application has ended
        except Exception:  # noqa: BLE001 - without this thread no request is answered
            traceback.print_exc()
            status = 1
        os._exit(status)


def main() -> None:
    """Serve until the application has ended; the exit status is the error's."""
    source, sink = private_pipes()
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    shared = SharedEngine(os.fdopen(source, "rb", buffering=0), os.fdopen(sink, "wb", buffering=0))
    start = shared.receive()
    if not isinstance(start, SharingStart):
        return
    try:
        server = SharedServer(shared, start)
        lock_process(ChildKind.SHARED_SERVER.value.lock)  # before the first thread
        lock_files((), (), native().restrict_threads)
    except R1Error as error:
        shared.send(SharingRefused(report=error.report()))
        sys.exit(error.exit_code)
    end_with_owner(source)
    asyncio.run(server.run())


if __name__ == "__main__":
    main()
